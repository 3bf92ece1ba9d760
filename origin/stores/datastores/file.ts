import { constants } from "node:fs";
import {
  copyFile,
  type FileHandle,
  link,
  mkdir,
  open,
  opendir,
  readdir,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { ByteSlice } from "../../../shared/byte_range.ts";
import type { Datastore, KnownObject, ListedObject, StagedFile } from "./datastore.ts";
import { type DatastoreMark, MARKS, markName, markText, parseMark } from "./datastore_mark.ts";
import { fileStream } from "./file_stream.ts";
import { objectName } from "./object_name.ts";
import { cannotRead, cannotStore, telling } from "./store_trouble.ts";

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
    await telling(cannotStore, signal, async () => {
      const made = await mkdir(dirname(path), { recursive: true });
      await flush(file.path);
      if (!(await linked(file.path, path))) await this.#copy(file.path, path);
      await this.#flushFolders(dirname(path), made);
    });
  }

  async has({ location, size }: KnownObject, signal: AbortSignal): Promise<boolean> {
    const path = this.localPath(location);
    return await telling(cannotRead, signal, async () => {
      const found = await stat(path).catch(undefinedIfAbsent);
      return found?.isFile() === true && found.size === size;
    });
  }

  async open(
    { location, size }: KnownObject,
    slice: ByteSlice | undefined,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array> | undefined> {
    const path = this.localPath(location);
    const handle = await telling(cannotRead, signal, () => openWhole(path, size));
    return handle && fileStream(handle, slice ?? { offset: 0, length: size }, signal);
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

  async mark(databaseId: string): Promise<void> {
    const path = join(this.#folder, markName(databaseId));
    const made = await mkdir(dirname(path), { recursive: true });
    await writeFile(path, markText(databaseId), { flag: "wx", flush: true }).catch(unlessPresent);
    await this.#flushFolders(dirname(path), made);
  }

  async marks(): Promise<DatastoreMark[]> {
    const names = await readdir(join(this.#folder, MARKS)).catch(undefinedIfAbsent);
    const found = (names ?? []).map(async (name) => {
      const about = await stat(join(this.#folder, MARKS, name)).catch(undefinedIfAbsent);
      return about && parseMark(`${MARKS}${name}`, about.mtimeMs);
    });
    return (await Promise.all(found)).flatMap((mark) => mark ?? []);
  }

  /** Throws when `location` is not of the grammar, so that none leads out of the folder. */
  localPath(location: string): string {
    if (!LOCATION.test(location)) throw new Error(`Cannot find "${location}" in datastore ${this.id}: not a location`);
    return join(this.#folder, location);
  }

  async close(): Promise<void> {}

  /**
   * Flushes a folder and those that lead to it, because the name of each lies in the one above; also those that we have not
   * `made`: whoever did a moment ago may not have flushed them yet.
   */
  async #flushFolders(folder: string, made: string | undefined): Promise<void> {
    const above = dirname(made !== undefined && made.length < this.#folder.length ? made : this.#folder);
    for (let at = folder; at !== above; at = dirname(at)) await flush(at);
    // We may be kept from reading what is above our own.
    await flush(above).catch(unlessForbidden);
  }

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

/** Opens a file of this size; `undefined` where there is none. */
async function openWhole(path: string, size: number): Promise<FileHandle | undefined> {
  const handle = await open(path, "r").catch(undefinedIfAbsent);
  const found = await handle?.stat().catch(async (error) => {
    await handle.close();
    throw error;
  });
  if (found?.size === size) return handle;
  await handle?.close();
  return undefined;
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

async function* entries(folder: string): AsyncGenerator<string> {
  const found = await opendir(folder).catch(undefinedIfAbsent);
  if (!found) return;
  for await (const entry of found) yield entry.name;
}

function undefinedIfAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
  throw error;
}

function unlessPresent(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}

function unlessForbidden(error: NodeJS.ErrnoException): void {
  if (error.code !== "EACCES") throw error;
}
