import { Readable } from "node:stream";
import { PutObjectCommand, type S3Client, type StorageClass } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { isConditionFailed, withRetries } from "./s3_errors.ts";
import { watchSilence } from "./silence.ts";

/** An object to be stored. `size` in bytes; `open` begins at the first byte each time it is called. */
export interface NewObject {
  readonly bucket: string;
  readonly key: string;
  readonly size: number;
  readonly open: () => Promise<Readable>;
  readonly storageClass?: string | undefined;
  /** Leave an object that is there as it is. In one piece only; a large one in parts is written again, with the same bytes. */
  readonly onlyIfAbsent?: boolean;
  /** Whether large objects go in parts, which can be sent again one by one. */
  readonly inParts: boolean;
}

const ATTEMPTS = 3;
const CONTENT_TYPE = "application/octet-stream";
/** Larger objects go in parts. Each part under way is held in memory. */
const ONE_PIECE_BYTES = 32 * 1024 * 1024;
const PART_BYTES = 8 * 1024 * 1024;
const PARTS_AT_ONCE = 2;
/** S3 takes 10,000. */
const MAX_PARTS = 9_000;

/**
 * Stores an object; confirmed by the store when it resolves.
 *
 * Errors: the store's, or that it has gone silent; that of the body, which may also have more or fewer bytes than was said.
 * Nothing is stored then.
 */
export async function putObject(client: S3Client, object: NewObject, signal: AbortSignal): Promise<void> {
  const put = object.inParts && object.size > ONE_PIECE_BYTES ? putInParts : putInOnePiece;
  await withRetries(ATTEMPTS, signal, async () => {
    const source = await object.open();
    const silence = watchSilence();
    // The client would wait for the rest of a body that failed: it must be told to stop.
    const bodyFailed = new AbortController();
    const body = Readable.from(exactly(source, object.size, silence.heard), { objectMode: false });
    source.on("error", () => undefined); // It comes out of the body, too.
    body.on("error", (error) => bodyFailed.abort(error));
    try {
      await put(client, object, body, AbortSignal.any([signal, bodyFailed.signal, silence.signal]));
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

async function putInOnePiece(client: S3Client, object: NewObject, body: Readable, signal: AbortSignal): Promise<void> {
  const condition = object.onlyIfAbsent ? { IfNoneMatch: "*" } : {};
  const command = new PutObjectCommand({ ...inputOf(object), Body: body, ContentLength: object.size, ...condition });
  try {
    await client.send(command, { abortSignal: signal });
  } catch (error) {
    if (!object.onlyIfAbsent || !isConditionFailed(error)) throw error;
  }
}

async function putInParts(client: S3Client, object: NewObject, body: Readable, signal: AbortSignal): Promise<void> {
  const upload = new Upload({
    client,
    params: { ...inputOf(object), Body: body },
    partSize: Math.max(PART_BYTES, Math.ceil(object.size / MAX_PARTS)),
    queueSize: PARTS_AT_ONCE,
  });
  const abort = () => void upload.abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    signal.throwIfAborted();
    await upload.done();
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function inputOf({ bucket, key, storageClass }: NewObject) {
  return {
    Bucket: bucket,
    Key: key,
    ContentType: CONTENT_TYPE,
    ...(storageClass && storageClass !== "STANDARD" ? { StorageClass: storageClass as StorageClass } : {}),
  };
}
