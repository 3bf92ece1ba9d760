import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { MakeId } from "../../platform/ids.ts";
import { cannotRead, lost, telling } from "../../stores/datastores/store_trouble.ts";
import type { Media } from "../../stores/db/media.ts";
import type { FindDatastore } from "../domain.ts";
import { openBlob } from "./find_servable.ts";

/** A body as a file that may be read and never changed. `dispose` removes it where it is a copy. */
export interface LocalFile {
  readonly path: string;
  dispose(): Promise<void>;
}

/** Brings a body to a local file: see {@link makeLocalFile}. */
export type BringLocal = (blob: Media["blob"], folder: string, signal: AbortSignal) => Promise<LocalFile>;

/**
 * A body as a local file, for what cannot read streams: the object itself where it is one, else a copy in `folder`.
 *
 * Errors: 503 when the body cannot be read; the signal's reason.
 */
export function makeLocalFile(parts: { readonly datastores: FindDatastore; readonly makeId: MakeId }): BringLocal {
  return async function bringLocal(blob, folder, signal) {
    const datastore = openBlob(blob, parts.datastores);
    const local = datastore.localPath?.(blob.location);
    if (local !== undefined) {
      if (!(await datastore.has(blob, signal))) throw lost(blob);
      return { path: local, dispose: async () => {} };
    }
    await mkdir(folder, { recursive: true });
    const path = join(folder, `${parts.makeId()}.source`);
    const dispose = () => rm(path, { force: true });
    const bytes = await datastore.open(blob, undefined, signal);
    if (!bytes) throw lost(blob);
    // Made before anything can fail, as in `ingest`.
    const file = await open(path, "wx", 0o600);
    try {
      const source = Readable.fromWeb(bytes as import("node:stream/web").ReadableStream);
      await telling(cannotRead, signal, () => pipeline(source, file.createWriteStream(), { signal }));
      return { path, dispose };
    } catch (error) {
      await dispose();
      throw error;
    }
  };
}
