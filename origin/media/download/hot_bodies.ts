import { LRUCache } from "lru-cache";
import type { ByteSlice } from "../../../shared/http/byte_range.ts";
import { HeldBodies } from "../../../shared/http/held_bodies.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import { TtlCache } from "../../platform/ttl.ts";
import type { SeekableBody } from "../../stores/objects/datastore.ts";
import { bodyInMemory } from "../../stores/objects/open_file.ts";
import type { Servable } from "./servable.ts";

/** What is kept in memory: `downloads.cache` of the configuration. Bytes, and milliseconds. */
export interface HotBodiesOptions {
  readonly clock: SteadyClock;
  /** What all bodies that are kept may take together; those that are being sent may take as much again. 0: nothing is kept. */
  readonly maxBytes: number;
  /** The largest body that is kept. */
  readonly maxBodyBytes: number;
  /** From how many downloads within how long on a body is kept. */
  readonly minDownloads: number;
  readonly trackedMs: number;
}

/** A body that was opened to be sent: at any position, or the slice that was asked for as a stream. */
export type OpenedBody = SeekableBody | ReadableStream<Uint8Array>;

/** Of so many bodies it is known how often they were downloaded of late. */
const TRACKED = 20_000;
/** Whoever takes longer to be sent one is taken for gone. */
const LOST_MS = 3_600_000;

/**
 * Opens bodies to be sent, each in the way that costs least: small ones that are asked for often come from the memory of this
 * process, without a call of the file system; what lies on this machine from its file; the rest as a stream.
 *
 * A body is kept from its second download within a while on (or as the configuration says), and the one longest out of use goes
 * first: so whoever reads everything once drives out nothing. Bodies never change and are known by their hash, so what is kept can
 * never be old; and whether somebody may have the media was decided before a body of it is opened.
 */
export class HotBodies {
  readonly #options: HotBodiesOptions;
  readonly #kept: LRUCache<string, Uint8Array> | undefined;
  readonly #held: HeldBodies;
  readonly #downloads: TtlCache<{ count: number }>;

  constructor(options: HotBodiesOptions) {
    const { clock, maxBytes, trackedMs } = options;
    this.#options = options;
    if (maxBytes > 0) {
      this.#kept = new LRUCache({ maxSize: maxBytes, sizeCalculation: (body) => body.byteLength + 1 });
    }
    this.#held = new HeldBodies({ maxBytes, lostMs: LOST_MS });
    this.#downloads = new TtlCache({ clock, max: TRACKED, ttlMs: trackedMs });
  }

  /** Opens a body, or a slice of it. `undefined`: it is not in its datastore. Whoever gets it closes or cancels it. */
  async open(servable: Servable, slice: ByteSlice | undefined, signal: AbortSignal): Promise<OpenedBody | undefined> {
    const { sha256, size } = servable.media;
    if (!this.#kept || size > this.#options.maxBodyBytes) return await openCold(servable, slice, signal);
    const kept = this.#kept.get(sha256);
    if (!kept && !this.#isHot(sha256)) return await openCold(servable, slice, signal);
    // What is read to be kept counts from now on, so that a crowd cannot take more memory than there is for all.
    const hold = this.#held.hold(sha256, size, this.#options.clock());
    if (!hold) return await openCold(servable, slice, signal);
    try {
      hold.shared.body ??= kept ?? (await this.#read(servable, signal));
    } catch {
      hold.release();
      signal.throwIfAborted();
      // A store that broke off is asked once more, as if nothing were to be kept: what goes wrong then is told as always.
      return await openCold(servable, slice, signal);
    }
    return bodyInMemory(hold.shared.body, hold.release);
  }

  async #read(servable: Servable, signal: AbortSignal): Promise<Uint8Array> {
    const { sha256, size } = servable.media;
    const opened = await openCold(servable, undefined, signal);
    if (!opened) throw new Error(`Cannot read ${sha256}: its object is not there`);
    const body = await readWhole(opened, size);
    this.#kept?.set(sha256, body);
    return body;
  }

  #isHot(sha256: string): boolean {
    const seen = this.#downloads.get(sha256) ?? { count: 0 };
    seen.count += 1;
    if (seen.count === 1) this.#downloads.set(sha256, seen);
    return seen.count >= this.#options.minDownloads;
  }
}

async function openCold(
  servable: Servable,
  slice: ByteSlice | undefined,
  signal: AbortSignal,
): Promise<OpenedBody | undefined> {
  return (await servable.openFile?.(signal)) ?? (await servable.open(slice, signal));
}

/** Whether a body that was opened is read by positions. */
export function isSeekable(body: OpenedBody): body is SeekableBody {
  return "read" in body;
}

/** All of a small body; throws where it has another length. */
async function readWhole(opened: OpenedBody, size: number): Promise<Uint8Array> {
  const body = Buffer.allocUnsafeSlow(size);
  let filled = 0;
  const fill = (piece: Uint8Array) => {
    if (filled + piece.byteLength <= size) body.set(piece, filled);
    filled += piece.byteLength;
  };
  if (isSeekable(opened)) {
    try {
      while (filled < size) fill(await opened.read(filled, size - filled));
    } finally {
      opened.close();
    }
  } else for await (const piece of opened) fill(piece);
  if (filled !== size) throw new Error(`Cannot read a body of ${size} bytes: its object has another length`);
  return body;
}
