import { type FileHandle, mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Failure, isFailure } from "../../../shared/matrix/failure.ts";
import type { MakeId } from "../../platform/ids.ts";
import type { Media } from "../../stores/db/tables/media.ts";
import type { Datastore, FindDatastore } from "../../stores/objects/datastore.ts";
import { cannotRead, cannotStore, LostObject, telling } from "../../stores/objects/store_trouble.ts";
import { troubleOf } from "../../stores/trouble.ts";
import { openBlob } from "./find_servable.ts";

/** A body as a file that may be read and never changed. `dispose` removes it where it is a copy. */
export interface LocalFile {
  readonly path: string;
  dispose(): Promise<void>;
}

/** Brings a body to a local file: see {@link makeLocalFile}. */
export type BringLocal = (blob: Media["blob"], folders: readonly string[], signal: AbortSignal) => Promise<LocalFile>;

/**
 * A body as a local file, for what cannot read streams: the object itself where it is one, else a copy in the first of the
 * `folders` that can be written.
 *
 * Errors: `LostObject`; 503 when the body cannot be read; 507 (503 where it is not for lack of room) when no folder can be written; the
 * signal's reason.
 */
export function makeLocalFile(parts: { readonly datastores: FindDatastore; readonly makeId: MakeId }): BringLocal {
  return async function bringLocal(blob, folders, signal) {
    const datastore = openBlob(blob, parts.datastores);
    const local = datastore.localPath?.(blob.location);
    if (local !== undefined) {
      if (!(await datastore.has(blob, signal))) throw new LostObject(blob);
      return { path: local, dispose: async () => {} };
    }
    let failure = cannotStore(new Error("there is no folder for temporary files"));
    for (const folder of folders) {
      try {
        return await copy(blob, datastore, folder, signal);
      } catch (error) {
        if (!(error instanceof CannotCopy)) throw error;
        failure = error.told;
      }
    }
    throw failure;
  };

  async function copy(blob: Media["blob"], datastore: Datastore, folder: string, signal: AbortSignal) {
    const path = join(folder, `${parts.makeId()}.source`);
    const dispose = () => rm(path, { force: true });
    // Made before the body is opened, which then always has a reader; and before anything can fail, as in `ingest`.
    const file = await create(folder, path);
    try {
      const bytes = await datastore.open(blob, undefined, signal);
      if (!bytes) throw new LostObject(blob);
      await telling(cannotCopy, signal, () => fill(file, bytes, signal));
      return { path, dispose };
    } catch (error) {
      await dispose();
      throw isFailure(error, "no_room") ? new CannotCopy(error) : error;
    } finally {
      await file.close();
    }
  }
}

/** This folder cannot be written: another may do. */
class CannotCopy extends Error {
  readonly told: Failure;

  constructor(told: Failure) {
    super(told.message, { cause: told });
    this.told = told;
  }
}

async function create(folder: string, path: string): Promise<FileHandle> {
  try {
    await mkdir(folder, { recursive: true });
    return await open(path, "wx", 0o600);
  } catch (error) {
    throw new CannotCopy(cannotStore(error));
  }
}

function cannotCopy(cause: unknown): Failure {
  return troubleOf(cause) === "no_room" ? cannotStore(cause) : cannotRead(cause);
}

/** Writes a body to a file. Whatever fails, the body is cancelled. */
async function fill(file: FileHandle, bytes: ReadableStream<Uint8Array>, signal: AbortSignal): Promise<void> {
  for await (const chunk of bytes) {
    signal.throwIfAborted();
    await file.writeFile(chunk);
  }
}
