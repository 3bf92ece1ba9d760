import { HeldBodies } from "../../shared/http/held_bodies.ts";
import type { BucketReader } from "../bucket.ts";
import { Flight, type KeepAlive } from "./flight.ts";
import { Lru } from "./lru.ts";

/** A body of up to this many bytes is read once for all who want it at the same time. */
export const SHARED_BODY_BYTES = 8 * 1_048_576;

/** A body as plain bytes that others use, too. */
export interface SharedBody {
  readonly bytes: Uint8Array;
  /** To be called when they have been sent, or will not be. */
  release(): void;
}

/** Reads a body whole: see {@link makeSharedBodies}. `undefined`: whoever wants it opens it for himself, if it is there. */
export type ShareBody = (
  key: string,
  bytes: number,
  nowMs: number,
  keepAlive: KeepAlive,
) => Promise<SharedBody | undefined>;

/** Bodies never change, so whoever comes while one is being read may join however long that takes. */
const JOIN_MS = 30_000;
const WAIT_MS = 15_000;

/**
 * What is being read or sent may take so many bytes of the isolate's 128 MiB, which holds twice as many for a moment while it
 * reads: a few large bodies, or many small ones.
 */
const MAX_HELD_BYTES = 4 * SHARED_BODY_BYTES;

/** A request that the runtime has ended may never say that it is done. */
const LOST_MS = 600_000;

/** The smallest of them, such as thumbnails, are kept for those who come a little later: 16 MiB in all. */
const KEPT_BODY_BYTES = 262_144;
const MAX_KEPT = 64;

/**
 * Bodies of the bucket as plain bytes that many requests of this isolate may share, each at its own pace: what the slowest of
 * them still needs counts, and where that is too much already, a body is not shared. They never change, and nobody gets one
 * without a descriptor that names it, so keeping some keeps nothing alive that was deleted.
 *
 * Errors: those of the bucket, and a wait without end.
 */
export function makeSharedBodies(bucket: Pick<BucketReader, "readBody">): ShareBody {
  const flight = new Flight<Uint8Array | undefined>({ joinMs: JOIN_MS, waitMs: WAIT_MS });
  const kept = new Lru<Uint8Array>(MAX_KEPT);
  const held = new HeldBodies({ maxBytes: MAX_HELD_BYTES, lostMs: LOST_MS });

  return async (key, bytes, nowMs, keepAlive) => {
    const hold = held.hold(key, bytes, nowMs);
    if (!hold) return undefined;
    const { shared, release } = hold;
    try {
      shared.body ??= kept.get(key) ?? (await flight.run(key, nowMs, () => read(key, bytes), keepAlive));
      if (shared.body?.byteLength === bytes) return { bytes: shared.body, release };
    } catch (error) {
      release();
      throw error;
    }
    release();
    return undefined;
  };

  async function read(key: string, bytes: number): Promise<Uint8Array | undefined> {
    const body = await bucket.readBody(key, undefined);
    if (body?.totalBytes !== bytes) {
      await body?.bytes.cancel();
      return undefined;
    }
    const read = new Uint8Array(await new Response(body.bytes).arrayBuffer());
    if (read.byteLength !== bytes) return undefined;
    if (bytes <= KEPT_BODY_BYTES) kept.set(key, read);
    return read;
  }
}
