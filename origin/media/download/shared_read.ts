import { LRUCache } from "lru-cache";
import { HeldBodies, type Hold } from "../../../shared/http/held_bodies.ts";
import { pullStream } from "../../platform/bytes.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import { SingleFlight } from "../../platform/work_queue.ts";
import type { Servable } from "./servable.ts";
import { makeSpooledRead, type SpoolOptions } from "./spooled_read.ts";

/** How much is read at once for many. Bytes and milliseconds. */
export interface SharedReadOptions {
  readonly clock: SteadyClock;
  /** The largest body that is read into memory. */
  readonly memoryBodyBytes: number;
  /** What all bodies that are kept in memory may take together; those that are being sent may take as much again. */
  readonly keptBytes: number;
  /** How long reading one into memory may take. */
  readonly timeoutMs: number;
  /** The largest body of a datastore elsewhere that is shared by way of the disk. */
  readonly spoolBodyBytes: number;
  readonly spool: SpoolOptions;
}

/** Opens a whole body: see {@link makeSharedRead}. `undefined`: it is not in its datastore. */
export type OpenShared = (servable: Servable, signal: AbortSignal) => Promise<ReadableStream<Uint8Array> | undefined>;

const PIECE_BYTES = 131_072;
/** Whoever takes longer is taken for gone. */
const LOST_MS = 3_600_000;

/**
 * Reads a body once for all who want it at about the same time, as when a room full of servers learns of a picture: a small one
 * into memory, where it stays a little longer; a larger one of a datastore elsewhere into a file of this machine. A larger one
 * that lies on this machine is opened for each, and so is whatever there is no room for. A body is known by its hash, so what is
 * kept can never be old.
 */
export function makeSharedRead(options: SharedReadOptions): OpenShared {
  const { clock, memoryBodyBytes, keptBytes, timeoutMs, spoolBodyBytes } = options;
  const kept = new LRUCache<string, Uint8Array>({ maxSize: keptBytes, sizeCalculation: (body) => body.length + 1 });
  const held = new HeldBodies({ maxBytes: keptBytes, lostMs: LOST_MS });
  const reading = new SingleFlight<Uint8Array | undefined>();
  const openSpooled = makeSpooledRead(options.spool);

  return async (servable, signal) => {
    const { copyFolder, media } = servable;
    const { sha256, size } = media;
    const hold = size <= memoryBodyBytes ? held.hold(sha256, size, clock()) : undefined;
    if (hold) return await openHeld(servable, hold, signal);
    if (copyFolder !== undefined && size <= spoolBodyBytes) return await openSpooled(servable, copyFolder, signal);
    return await servable.open(undefined, signal);
  };

  async function openHeld(servable: Servable, { shared, release }: Hold, signal: AbortSignal) {
    const { sha256 } = servable.media;
    try {
      shared.body ??= kept.get(sha256) ?? (await reading.run(sha256, () => read(servable)));
      if (shared.body) return streamOf(shared.body, release, signal);
    } catch (error) {
      release();
      throw error;
    }
    release();
    return undefined;
  }

  async function read(servable: Servable): Promise<Uint8Array | undefined> {
    const { sha256, size } = servable.media;
    const bytes = await servable.open(undefined, AbortSignal.timeout(timeoutMs));
    if (!bytes) return undefined;
    const chunks: Uint8Array[] = [];
    for await (const chunk of bytes) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    if (body.length !== size) throw new Error(`Cannot serve ${sha256}: ${body.length} bytes are stored of ${size}`);
    kept.set(sha256, body);
    return body;
  }
}

/** The bytes, piece by piece as they are taken. `release` is called when they are, or nobody wants them any more. */
function streamOf(body: Uint8Array, release: () => void, signal: AbortSignal): ReadableStream<Uint8Array> {
  let position = 0;
  return pullStream({
    signal,
    length: body.byteLength,
    async next() {
      const piece = body.subarray(position, position + PIECE_BYTES);
      position += piece.byteLength;
      return piece;
    },
    onEnd: release,
  });
}
