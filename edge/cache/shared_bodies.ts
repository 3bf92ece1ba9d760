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

/** How long others may join a read, in milliseconds: bodies never change. */
const JOIN_MS = 30_000;
const WAIT_MS = 15_000;

/**
 * What is being read or sent may take so many bytes of the isolate's 128 MiB, which holds twice as many for a moment while it
 * reads: a few large bodies, or many small ones.
 */
const MAX_HELD_BYTES = 4 * SHARED_BODY_BYTES;

/** When a hold that was never released stops counting, in milliseconds: the runtime may have ended its request. */
const LOST_MS = 600_000;

/** The smallest of them, such as thumbnails, are kept for those who come a little later: 16 MiB in all. */
const KEPT_BODY_BYTES = 262_144;
const MAX_KEPT = 64;

/**
 * Bodies of the bucket as plain bytes that many requests of this isolate may share, each at its own pace. What the slowest of
 * them still needs counts, and beyond the bound a body is not shared. Bodies never change and are found by a descriptor only,
 * so keeping some keeps nothing alive that was deleted.
 */
export class SharedBodies {
  readonly #bucket: Pick<BucketReader, "readBody">;
  readonly #flight = new Flight<Uint8Array | undefined>({ joinMs: JOIN_MS, waitMs: WAIT_MS });
  readonly #kept = new Lru<Uint8Array>(MAX_KEPT);
  readonly #held = new HeldBodies({ maxBytes: MAX_HELD_BYTES, lostMs: LOST_MS });

  constructor(bucket: Pick<BucketReader, "readBody">) {
    this.#bucket = bucket;
  }

  /** The whole body of this length; `undefined`: the caller must open its own stream. Errors: the bucket's, `DeadlineExceeded`. */
  async share(key: string, bytes: number, nowMs: number, keepAlive: KeepAlive): Promise<SharedBody | undefined> {
    const hold = this.#held.hold(key, bytes, nowMs);
    if (!hold) return undefined;
    const { shared, release } = hold;
    try {
      const read = () => this.#flight.run(key, nowMs, () => this.#read(key, bytes), keepAlive);
      shared.body ??= this.#kept.get(key) ?? (await read());
      if (shared.body?.byteLength === bytes) return { bytes: shared.body, release };
    } catch (error) {
      release();
      throw error;
    }
    release();
    return undefined;
  }

  async #read(key: string, bytes: number): Promise<Uint8Array | undefined> {
    const body = await this.#bucket.readBody(key, undefined);
    if (body?.totalBytes !== bytes) {
      await body?.bytes.cancel();
      return undefined;
    }
    const read = new Uint8Array(await new Response(body.bytes).arrayBuffer());
    if (read.byteLength !== bytes) return undefined;
    if (bytes <= KEPT_BODY_BYTES) this.#kept.set(key, read);
    return read;
  }
}
