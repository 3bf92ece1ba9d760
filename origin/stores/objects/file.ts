import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { copyFile, type FileHandle, link, mkdir, open, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { ByteSlice } from "../../../shared/http/byte_range.ts";
import type { Datastore, KnownObject, SeekableBody, StagedBody } from "./datastore.ts";
import { IDENTITY_TEXT, identityName } from "./datastore_identity.ts";
import { DurableFolders, flush } from "./durable_folders.ts";
import { objectName } from "./object_name.ts";
import { fileStream, openFile } from "./open_file.ts";
import { cannotRead, cannotStore, telling } from "./store_trouble.ts";

/**
 * A folder of two characters, then the rest of the name: 256 folders, whose names are soon on the disk for good, so that an upload
 * flushes one. Two such folders are matrix-media-repo's layout, which stays readable.
 */
const LOCATION = /^[A-Za-z0-9_-]{2}\/([A-Za-z0-9_-]{2}\/)?[A-Za-z0-9_-]{3,200}$/;
const STAGING = ".staging";

/** Which folder a datastore is. `fsync` false: what is put is whole when `put` resolves, and durable when the system sees fit. */
export interface FileDatastoreOptions {
  readonly id: string;
  readonly folder: string;
  readonly fsync?: boolean | undefined;
}

/** A folder as a datastore. The folder is made when the first object is put. */
export function makeFileDatastore(options: FileDatastoreOptions): Datastore {
  return new FileDatastore(options);
}

class FileDatastore implements Datastore {
  readonly id: string;
  readonly kind = "file";
  readonly stagingFolder: string;
  readonly isFlushed: boolean;
  readonly #folder: string;
  readonly #folders: DurableFolders;

  constructor(options: FileDatastoreOptions) {
    this.id = options.id;
    this.#folder = resolve(options.folder);
    this.stagingFolder = join(this.#folder, STAGING);
    this.#folders = new DurableFolders(this.#folder);
    this.isFlushed = options.fsync ?? true;
  }

  locationFor(sha256: string, generation: number): string {
    return objectName(this.locationStem(sha256), generation);
  }

  locationStem(sha256: string): string {
    return `${sha256.slice(0, 2)}/${sha256.slice(2)}`;
  }

  async put(location: string, body: StagedBody, signal: AbortSignal): Promise<void> {
    const path = this.localPath(location);
    await telling(cannotStore, signal, async () => {
      await this.#place(body, path).catch(async (error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
        // Somebody has removed the folder since.
        this.#folders.forget(dirname(path));
        await this.#place(body, path);
      });
      if (this.isFlushed) await this.#folders.flush(dirname(path));
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

  async openFile({ location, size }: KnownObject, signal: AbortSignal): Promise<SeekableBody | undefined> {
    const path = this.localPath(location);
    return await telling(cannotRead, signal, () => openFile(path, size));
  }

  async remove(location: string): Promise<void> {
    await rm(this.localPath(location), { force: true });
  }

  async sign(identity: string): Promise<void> {
    await this.#leave(identityName(identity), IDENTITY_TEXT);
  }

  async isSigned(identity: string): Promise<boolean> {
    return (await stat(join(this.#folder, identityName(identity))).catch(undefinedIfAbsent)) !== undefined;
  }

  /** Throws when `location` is not of the grammar, so that none leads out of the folder. */
  localPath(location: string): string {
    if (!LOCATION.test(location)) throw new Error(`Cannot find "${location}" in datastore ${this.id}: not a location`);
    return join(this.#folder, location);
  }

  async close(): Promise<void> {}

  /** Leaves a small file for good. */
  async #leave(name: string, text: string): Promise<void> {
    const path = join(this.#folder, name);
    // Rare, and perhaps at another place than before.
    this.#folders.forget(dirname(path));
    await this.#folders.make(dirname(path));
    await writeFile(path, text, { flag: "wx", flush: true }).catch(unlessPresent);
    await this.#folders.flush(dirname(path));
  }

  async #place(body: StagedBody, path: string): Promise<void> {
    await this.#folders.make(dirname(path));
    if ("bytes" in body) return await this.#write(path, body.bytes);
    if (this.isFlushed) await flush(body.path);
    if (!(await linked(body.path, path))) await this.#copy(body.path, path);
  }

  /** No row names the place yet, so nobody reads it before it is whole. One that was put there before is written anew, aside. */
  async #write(path: string, bytes: Uint8Array): Promise<void> {
    const written = await writeNew(path, bytes, this.isFlushed).catch(unlessPresent);
    if (!written) await this.#aside(path, (aside) => writeNew(aside, bytes, this.isFlushed));
  }

  /** For a staged file on another filesystem. */
  async #copy(from: string, to: string): Promise<void> {
    await this.#aside(to, async (aside) => {
      await copyFile(from, aside, constants.COPYFILE_FICLONE);
      if (this.isFlushed) await flush(aside);
    });
  }

  /** Written beside its place and then renamed, so that the object appears whole or not at all. */
  async #aside(to: string, write: (path: string) => Promise<unknown>): Promise<void> {
    const aside = join(this.stagingFolder, `${randomUUID()}.copy`);
    await mkdir(this.stagingFolder, { recursive: true });
    try {
      await write(aside);
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

/**
 * Writes a new file and, where it is to be durable, brings its bytes to the disk; true, for whoever asks whether it was. Of one that cannot be written whole (the
 * disk is full, say) nothing is left.
 */
async function writeNew(path: string, bytes: Uint8Array, isFlushed: boolean): Promise<true> {
  const file = await open(path, "wx");
  try {
    await file.writeFile(bytes);
    if (isFlushed) await file.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return true;
}

function undefinedIfAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
  throw error;
}

function unlessPresent(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}
