import type { Readable } from "node:stream";
import { GetObjectCommand, type GetObjectCommandOutput, HeadObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import type { ByteSlice } from "../../../../shared/http/byte_range.ts";
import { timeout } from "../../../platform/time.ts";
import { bodyStream } from "./body_stream.ts";
import { isAbsent, isOutOfRange, watchStore } from "./s3_errors.ts";
import type { Seats } from "./seats.ts";

/** An object that is wanted. `size`: how many bytes it has, all of it. */
export interface WantedObject {
  readonly bucket: string;
  readonly key: string;
  readonly size: number;
}

/** How long a store is waited for, in milliseconds. */
export interface ReadPatience {
  /** Until it begins to answer. */
  readonly answerMs: number;
  /** For more of a body that somebody asks for. */
  readonly silenceMs?: number | undefined;
}

/** Whether there is such an object, of this size. */
export async function hasObject(
  client: S3Client,
  { bucket, key, size }: WantedObject,
  signal: AbortSignal,
  { answerMs }: ReadPatience,
): Promise<boolean> {
  const command = new HeadObjectCommand({ Bucket: bucket, Key: key });
  try {
    const { ContentLength } = await client.send(command, { abortSignal: timeout(answerMs, signal) });
    return ContentLength === size;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

/**
 * Opens an object, or a slice of it that must lie within; see `bodyStream` for what becomes of it. `undefined`: there is no such
 * object of this size.
 *
 * Errors: the store's; that it does not begin to answer, or does not know ranges; that all seats are taken.
 */
export async function readObject(
  client: S3Client,
  object: WantedObject & { readonly slice: ByteSlice | undefined },
  how: { readonly signal: AbortSignal; readonly seats: Seats; readonly patience: ReadPatience },
): Promise<ReadableStream<Uint8Array> | undefined> {
  const { slice } = object;
  const { answerMs, silenceMs } = how.patience;
  const length = slice?.length ?? object.size;
  const seat = how.seats.take();
  try {
    const answer = await get(client, object, how.signal, answerMs);
    const body = answer?.Body as Readable | undefined;
    if (answer && body && sizeTold(answer) === object.size && answer.ContentLength === length) {
      return bodyStream(body, { length, signal: how.signal, seat, silenceMs });
    }
    body?.destroy();
    seat.leave();
    if (slice && answer && answer.ContentRange === undefined) throw new Error("The store does not know ranges");
    return undefined;
  } catch (error) {
    seat.leave();
    throw error;
  }
}

async function get(
  client: S3Client,
  { bucket, key, slice }: WantedObject & { readonly slice: ByteSlice | undefined },
  signal: AbortSignal,
  answerMs: number,
): Promise<GetObjectCommandOutput | undefined> {
  const range = slice && { Range: `bytes=${slice.offset}-${slice.offset + slice.length - 1}` };
  const silence = watchStore(answerMs);
  try {
    const command = new GetObjectCommand({ Bucket: bucket, Key: key, ...range });
    return await client.send(command, { abortSignal: AbortSignal.any([signal, silence.signal]) });
  } catch (error) {
    if (isAbsent(error) || isOutOfRange(error)) return undefined;
    throw silence.signal.reason ?? error;
  } finally {
    silence.stop();
  }
}

/** The size of the whole object, as the answer tells it. */
function sizeTold({ ContentRange, ContentLength }: GetObjectCommandOutput): number | undefined {
  return ContentRange === undefined ? ContentLength : Number(/\/(\d+)$/.exec(ContentRange)?.[1] ?? Number.NaN);
}
