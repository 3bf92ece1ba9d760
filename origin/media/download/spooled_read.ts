import type { MakeId } from "../../platform/ids.ts";
import { timeout } from "../../platform/time.ts";
import { GrowingFile } from "../growing_file.ts";
import type { Servable } from "./servable.ts";

/** How much is copied to this machine for those who read the same. Bytes and milliseconds. */
export interface SpoolOptions {
  readonly makeId: MakeId;
  /** What all copies may take of the disk together. */
  readonly totalBytes: number;
  /** How long one reading may take. */
  readonly timeoutMs: number;
}

/** Opens a whole body by way of a copy in `folder`: see {@link makeSpooledRead}. `undefined`: it is not in its datastore. */
export type OpenSpooled = (
  servable: Servable,
  folder: string,
  signal: AbortSignal,
) => Promise<ReadableStream<Uint8Array> | undefined>;

/**
 * Reads a body that lies elsewhere once for all who want it while anybody still reads it: into a temporary file, as fast as its
 * datastore gives it, from which each reads at its own pace. So the slowest of them takes room on the disk, and no memory, and
 * holds up nobody; when the last of them leaves, the reading ends. Where there is no room for a copy, it is opened for each.
 *
 * Errors: those of the datastore, also in the midst of the stream.
 */
export function makeSpooledRead({ makeId, totalBytes, timeoutMs }: SpoolOptions): OpenSpooled {
  const spools = new Map<string, Promise<GrowingFile | undefined>>();
  let taken = 0;

  return async (servable, folder, signal) => {
    const { sha256, size } = servable.media;
    for (;;) {
      const spool = spools.get(sha256) ?? (taken + size <= totalBytes ? begin(servable, folder) : undefined);
      if (!spool) return await servable.open(undefined, signal);
      const file = await spool;
      const bytes = file?.follow(signal);
      if (bytes || !file) return bytes;
      // The last of its readers has left in this very moment.
      forget(sha256, spool);
    }
  };

  function begin(servable: Servable, folder: string): Promise<GrowingFile | undefined> {
    const { sha256, size } = servable.media;
    const stopping = new AbortController();
    const stop = (reason: unknown) => {
      forget(sha256, spool);
      stopping.abort(reason);
    };
    taken += size;
    const spool = start(servable, folder, stop, stopping.signal);
    spools.set(sha256, spool);
    const over = () => {
      taken -= size;
      forget(sha256, spool);
    };
    spool.then((file) => file?.closed).then(over, over);
    return spool;
  }

  function forget(sha256: string, spool: Promise<GrowingFile | undefined>): void {
    if (spools.get(sha256) === spool) spools.delete(sha256);
  }

  /** Makes the file and begins to fill it. `stop` is called as soon as nobody is to join any more. */
  async function start(
    servable: Servable,
    folder: string,
    stop: (reason: unknown) => void,
    signal: AbortSignal,
  ): Promise<GrowingFile | undefined> {
    const announcedBytes = servable.media.size;
    const source = await servable.open(undefined, timeout(timeoutMs, signal));
    if (!source) return undefined;
    const onAlone = () => stop(new Error("nobody reads it any more"));
    const file = await GrowingFile.create({ folder, makeId, announcedBytes, onAlone }).catch(async (error) => {
      await source.cancel();
      throw error;
    });
    copy(source, file, announcedBytes).catch(async (error) => {
      stop(error);
      await file.fail(error).catch(() => undefined);
    });
    return file;
  }
}

async function copy(source: ReadableStream<Uint8Array>, file: GrowingFile, size: number): Promise<void> {
  for await (const chunk of source) {
    await file.append(chunk);
    if (file.size > size) break;
  }
  if (file.size !== size) throw new Error(`Cannot serve a body of ${size} bytes: its object has another length`);
  await file.finish().dispose();
}
