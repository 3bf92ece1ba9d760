import { Flight, type KeepAlive } from "./flight.ts";
import type { BucketReader } from "./store.ts";

/** A body of up to this many bytes is read once for all who want it at the same time. */
export const SMALL_BODY_BYTES = 1_048_576;

/** Reads a body whole: see {@link makeSmallBodies}. `undefined`: there is no such object, or not of that length. */
export type ReadSmallBody = (
  key: string,
  bytes: number,
  nowMs: number,
  keepAlive: KeepAlive,
) => Promise<Uint8Array | undefined>;

/** Bodies never change, so whoever comes while one is being read may join however long that takes. */
const JOIN_MS = 30_000;
const WAIT_MS = 15_000;

/** What is being read at the same time may take so many bytes of the isolate; beyond that everybody reads for themselves. */
const MAX_FLYING_BYTES = 32 * SMALL_BODY_BYTES;

/**
 * Small bodies of the bucket, as plain bytes that many requests of this isolate may share. Nothing is kept after the read, so
 * memory is bounded by what is under way. Errors: those of the bucket, and a wait without end.
 */
export function makeSmallBodies(bucket: Pick<BucketReader, "readBody">): ReadSmallBody {
  const flight = new Flight<Uint8Array | undefined>({ joinMs: JOIN_MS, waitMs: WAIT_MS });
  let flying = 0;

  async function read(key: string, bytes: number): Promise<Uint8Array | undefined> {
    flying += bytes;
    try {
      const body = await bucket.readBody(key, undefined);
      if (body?.totalBytes !== bytes) {
        await body?.bytes.cancel();
        return undefined;
      }
      const read = new Uint8Array(await new Response(body.bytes).arrayBuffer());
      return read.byteLength === bytes ? read : undefined;
    } finally {
      flying -= bytes;
    }
  }

  return async (key, bytes, nowMs, keepAlive) => {
    const crowded = flying + bytes > MAX_FLYING_BYTES;
    return crowded ? await read(key, bytes) : await flight.run(key, nowMs, () => read(key, bytes), keepAlive);
  };
}
