import { Flight, type KeepAlive } from "./flight.ts";
import { Lru } from "./lru.ts";
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

/** The smallest of them, such as thumbnails, are kept for those who come a little later: 16 MiB in all. */
const KEPT_BODY_BYTES = 262_144;
const MAX_KEPT = 64;

/**
 * Small bodies of the bucket, as plain bytes that many requests of this isolate may share. They never change, and nobody gets one
 * without a descriptor that names it, so keeping some keeps nothing alive that was deleted. Errors: those of the bucket, and a
 * wait without end.
 */
export function makeSmallBodies(bucket: Pick<BucketReader, "readBody">): ReadSmallBody {
  const flight = new Flight<Uint8Array | undefined>({ joinMs: JOIN_MS, waitMs: WAIT_MS });
  const kept = new Lru<Uint8Array>(MAX_KEPT);
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
      if (read.byteLength !== bytes) return undefined;
      if (bytes <= KEPT_BODY_BYTES) kept.set(key, read);
      return read;
    } finally {
      flying -= bytes;
    }
  }

  return async (key, bytes, nowMs, keepAlive) => {
    const known = kept.get(key);
    if (known?.byteLength === bytes) return known;
    const crowded = flying + bytes > MAX_FLYING_BYTES;
    return crowded ? await read(key, bytes) : await flight.run(key, nowMs, () => read(key, bytes), keepAlive);
  };
}
