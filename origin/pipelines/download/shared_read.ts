import { LRUCache } from "lru-cache";
import { SingleFlight } from "../../platform/single_flight.ts";
import type { Servable } from "./servable.ts";

/** How much is read at once for many. Bytes and milliseconds. */
export interface SharedReadOptions {
  /** The largest body that is shared; a larger one is streamed to each. */
  readonly maxBodyBytes: number;
  /** What all bodies that are kept may take together. */
  readonly keptBytes: number;
  /** How long one read may take. */
  readonly timeoutMs: number;
}

/** Opens a whole body: see {@link makeSharedRead}. `undefined`: it is not in its datastore. */
export type OpenShared = (servable: Servable, signal: AbortSignal) => Promise<ReadableStream<Uint8Array> | undefined>;

/**
 * Reads a small body once for all who want it at about the same time, as when a room full of servers learns of a picture. It is
 * known by its hash, so what is kept can never be old.
 */
export function makeSharedRead({ maxBodyBytes, keptBytes, timeoutMs }: SharedReadOptions): OpenShared {
  const kept = new LRUCache<string, Uint8Array>({ maxSize: keptBytes, sizeCalculation: (body) => body.length + 1 });
  const reading = new SingleFlight<Uint8Array | undefined>();

  return async (servable, signal) => {
    const { sha256, size } = servable.media;
    if (size > maxBodyBytes) return await servable.open(undefined, signal);
    const body = kept.get(sha256) ?? (await reading.run(sha256, () => read(servable)));
    return body && streamOf(body);
  };

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

function streamOf(body: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      if (body.length > 0) controller.enqueue(body);
      controller.close();
    },
  });
}
