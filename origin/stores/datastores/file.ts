import { constants } from "node:fs";
import { copyFile, link, mkdir, open, opendir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { ByteSlice } from "../../../shared/byte_range.ts";
import type { Datastore, ListedObject, StagedFile } from "./datastore.ts";
import { fileStream } from "./file_stream.ts";
import { objectName } from "./object_name.ts";

/** Two folders of two characters each, then the rest of the name: matrix-media-repo's layout, which stays readable. */
const LOCATION = /^[A-Za-z0-9_-]{2}\/[A-Za-z0-9_-]{2}\/[A-Za-z0-9_-]{1,200}$/;
const FOLDER = /^[A-Za-z0-9_-]{2}$/;
const STAGING = ".staging";

/** A folder as a datastore. The folder is made when the first object is put. */
export function makeFileDatastore(options: { readonly id: string; readonly folder: string }): Datastore {
  return new FileDatastore(options);
}

class FileDatastore implements Datastore {
  readonly id: string;
  readonly kind = "file";
  readonly stagingFolder: string;
  readonly #folder: string;

  constructor(options: { readonly id: string; readonly folder: string }) {
    this.id = options.id;
    this.#folder = resolve(options.folder);
    this.stagingFolder = join(this.#folder, STAGING);
  }

  locationFor(sha256: string, generation: number): string {
    const name = objectName(sha256, generation);
    return `${name.slice(0, 2)}/${name.slice(2, 4)}/${name.slice(4)}`;
  }

  async put(location: string, file: StagedFile, signal: AbortSignal): Promise<void> {
    const path = this.localPath(location);
    signal.throwIfAborted();
    const made = await mkdir(dirname(path), { recursive: true });
    await flush(file.path);
    if (!(await linked(file.path, path))) await this.#copy(file.path, path);
    await flushFolders(dirname(path), made === undefined ? dirname(path) : dirname(made));
  }

  async open(
    location: string,
    slice: ByteSlice | undefined,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array> | undefined> {
    const path = this.localPath(location);
    signal.throwIfAborted();
    const handle = await open(path, "r").catch(undefinedIfAbsent);
    return handle && fileStream(handle, slice, signal);
  }

  async remove(location: string): Promise<void> {
    await rm(this.localPath(location), { force: true });
  }

  async *list(): AsyncGenerator<ListedObject> {
    for await (const first of entries(this.#folder)) {
      if (!FOLDER.test(first)) continue;
      for await (const second of entries(join(this.#folder, first))) {
        for await (const rest of entries(join(this.#folder, first, second))) {
          const object = await this.#describe(`${first}/${second}/${rest}`);
          if (object) yield object;
        }
      }
    }
  }

  /** Throws when `location` is not of the grammar, so that none leads out of the folder. */
  localPath(location: string): string {
    if (!LOCATION.test(location)) throw new Error(`Cannot find "${location}" in datastore ${this.id}: not a location`);
    return join(this.#folder, location);
  }

  async close(): Promise<void> {}

  async #describe(location: string): Promise<ListedObject | undefined> {
    if (!LOCATION.test(location)) return undefined;
    const found = await stat(join(this.#folder, location)).catch(undefinedIfAbsent);
    return found?.isFile() ? { location, size: found.size, modifiedMs: Math.floor(found.mtimeMs) } : undefined;
  }

  /** For a staged file on another filesystem: copied aside, so that the object appears whole or not at all. */
  async #copy(from: string, to: string): Promise<void> {
    const aside = join(this.stagingFolder, `${basename(from)}.copy`);
    await mkdir(this.stagingFolder, { recursive: true });
    try {
      await copyFile(from, aside, constants.COPYFILE_FICLONE);
      await flush(aside);
      await rename(aside, to);
    } finally {
      await rm(aside, { force: true });
    }
  }
}

/** Gives the staged file a second name, where the filesystem can and the name is free. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch {
    return false;
  }
}

/** Brings a file's data, or a folder's names, to the disk. */
async function flush(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Flushes a folder and those above it up to `last`: the name of one that was just made lies in the one above. */
async function flushFolders(folder: string, last: string): Promise<void> {
  await flush(folder);
  if (folder !== last) await flushFolders(dirname(folder), last);
}

async function* entries(folder: string): AsyncGenerator<string> {
  const found = await opendir(folder).catch(undefinedIfAbsent);
  if (!found) return;
  for await (const entry of found) yield entry.name;
}

function undefinedIfAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
  throw error;
}
