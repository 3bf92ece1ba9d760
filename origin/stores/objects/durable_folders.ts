import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { LRUCache } from "lru-cache";

/** As many folders are remembered: more than a store makes of the first four characters of a hash. */
const MAX_FOLDERS = 100_000;

/**
 * The folders of one file datastore, so that the names in them survive a loss of power. Flushing a folder is what an upload
 * waits for longest, so each flush serves all who wait for it, and a folder whose own name was seen to be durable is not
 * looked up again.
 */
export class DurableFolders {
  readonly #root: string;
  /** Their names, and those of all above them, are on the disk. */
  readonly #durable = new LRUCache<string, true>({ max: MAX_FOLDERS });
  readonly #flushes = new Map<string, Flush>();

  /** `root`: the datastore's own folder, whose name lies in one that need not be ours. */
  constructor(root: string) {
    this.#root = root;
  }

  /** Makes a folder and those above it, where they are not known to be there. */
  async make(folder: string): Promise<void> {
    if (this.#durable.has(folder)) return;
    const made = await mkdir(folder, { recursive: true });
    // Whoever removed it has removed what was known of it, too.
    for (let at = folder; made !== undefined && at.length >= made.length; at = dirname(at)) this.#durable.delete(at);
    if (made !== undefined && made.length < this.#root.length) await this.#flushAbove(made);
  }

  /**
   * Brings the names in a folder to the disk, and those of the folders that lead to it: also those that we have not made, since
   * whoever did a moment ago may not have flushed them yet.
   */
  async flush(folder: string): Promise<void> {
    const due = [folder];
    for (let at = folder; at !== this.#root && !this.#durable.has(at); at = dirname(at)) due.push(dirname(at));
    const isRootKnown = this.#durable.has(this.#root);
    // We may be kept from reading what is above our own.
    const above = isRootKnown ? undefined : flush(dirname(this.#root)).catch(unlessForbidden);
    await Promise.all([above, ...due.map((one) => this.#share(one))]);
    for (const one of [folder, ...due]) this.#durable.set(one, true);
  }

  /** Forgets a folder that turned out to be gone: the next {@link make} looks for it. */
  forget(folder: string): void {
    for (let at = folder; at.length >= this.#root.length; at = dirname(at)) this.#durable.delete(at);
  }

  async #flushAbove(made: string): Promise<void> {
    for (let at = dirname(this.#root); at.length >= dirname(made).length; at = dirname(at)) {
      await flush(at).catch(unlessForbidden);
    }
  }

  /** One flush for all who come before it begins; who comes later may have made names that it does not see. */
  async #share(folder: string): Promise<void> {
    const running = this.#flushes.get(folder);
    if (!running) return await this.#begin(folder);
    running.next ??= running.done.catch(() => undefined).then(() => this.#begin(folder));
    await running.next;
  }

  async #begin(folder: string): Promise<void> {
    const mine: Flush = { done: flush(folder), next: undefined };
    this.#flushes.set(folder, mine);
    try {
      await mine.done;
    } finally {
      if (!mine.next) this.#flushes.delete(folder);
    }
  }
}

interface Flush {
  readonly done: Promise<void>;
  /** The one after it, once somebody waits for that. */
  next: Promise<void> | undefined;
}

/** Brings a file's data, or a folder's names, to the disk. */
export async function flush(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function unlessForbidden(error: NodeJS.ErrnoException): void {
  if (error.code !== "EACCES") throw error;
}
