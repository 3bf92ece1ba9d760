import { Readable } from "node:stream";
import { PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import type { WorkQueue } from "../../../platform/work_queue.ts";
import { type NewObject, objectInput } from "./new_object.ts";
import { bytesHeld, putInParts } from "./put_in_parts.ts";
import { isConditionFailed, watchStore, withRetries } from "./s3_errors.ts";

/** How an object is put. */
export interface PutOptions {
  readonly signal: AbortSignal;
  /** Where objects that go in parts wait for their turn, by the bytes that they hold in memory. */
  readonly parts: WorkQueue;
  /** How long the store may take nothing, in milliseconds. */
  readonly silenceMs?: number | undefined;
}

const ATTEMPTS = 3;
/** Larger objects go in parts. */
const ONE_PIECE_BYTES = 32 * 1024 * 1024;

/**
 * Stores an object; confirmed by the store when it resolves. A store that has gone silent is not tried again.
 *
 * Errors: the store's, or that it has gone silent; that of the queue of `parts`; that of the body, which may also have more or
 * fewer bytes than was said. Nothing is stored then.
 */
export async function putObject(client: S3Client, object: NewObject, options: PutOptions): Promise<void> {
  const { signal, parts } = options;
  if (!object.inParts || object.size <= ONE_PIECE_BYTES) return await putBy(putInOnePiece, client, object, options);
  await parts.run(() => putBy(putInParts, client, object, options), { weight: bytesHeld(object.size), signal });
}

/** A way to put: `heard` is to be called whenever the store has taken something. */
type Put = (
  client: S3Client,
  object: NewObject,
  body: Readable,
  watch: { readonly signal: AbortSignal; readonly heard: () => void },
) => Promise<void>;

async function putBy(put: Put, client: S3Client, object: NewObject, options: PutOptions): Promise<void> {
  const { signal } = options;
  await withRetries(ATTEMPTS, signal, async () => {
    const source = await object.open();
    const silence = watchStore(options.silenceMs);
    // The client would wait for the rest of a body that failed: it must be told to stop.
    const bodyFailed = new AbortController();
    const body = Readable.from(exactly(source, object.size, silence.touch), { objectMode: false });
    source.on("error", () => undefined); // It comes out of the body, too.
    body.on("error", (error) => bodyFailed.abort(error));
    const ended = AbortSignal.any([signal, bodyFailed.signal, silence.signal]);
    try {
      await put(client, object, body, { signal: ended, heard: silence.touch });
    } catch (error) {
      throw bodyFailed.signal.reason ?? silence.signal.reason ?? error;
    } finally {
      silence.stop();
      body.destroy();
      source.destroy();
    }
  });
}

async function* exactly(body: Readable, size: number, onChunk: () => void): AsyncGenerator<Uint8Array> {
  let seen = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    onChunk();
    seen += chunk.byteLength;
    if (seen > size) break;
    yield chunk;
  }
  if (seen !== size) throw new RangeError(`Cannot store a body of ${seen} bytes as one of ${size}`);
}

const putInOnePiece: Put = async (client, object, body, { signal }) => {
  const condition = object.onlyIfAbsent ? { IfNoneMatch: "*" } : {};
  const command = new PutObjectCommand({
    ...objectInput(object),
    Body: body,
    ContentLength: object.size,
    ...condition,
  });
  try {
    await client.send(command, { abortSignal: signal });
  } catch (error) {
    if (!object.onlyIfAbsent || !isConditionFailed(error)) throw error;
  }
};
