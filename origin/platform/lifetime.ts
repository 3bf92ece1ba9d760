import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sleep } from "./time.ts";

/** The lifetime of a process: what its start can fail for, the folders that it has to itself, and how everything ends. */

/** What a start can fail for. */
export type Dependency = "postgres" | "embedded_database" | "origin_port" | "metrics_port";

/** The start has failed for something that it needs. The cause says why. */
export class StartTrouble extends Error {
  override readonly name = "StartTrouble";
  readonly dependency: Dependency;
  /** Where it is: an address without secrets, a folder, or a port. */
  readonly place: string;

  constructor(dependency: Dependency, place: string, cause: unknown) {
    super(`The start has failed for the ${dependency.replaceAll("_", " ")} at ${place}`, { cause });
    this.dependency = dependency;
    this.place = place;
  }
}

/** Does work of the start that needs something; throws {@link StartTrouble} for whatever it throws. */
export async function needing<T>(dependency: Dependency, place: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof StartTrouble ? error : new StartTrouble(dependency, place, error);
  }
}

/** A step that hangs is left behind after so long, so that the rest is closed nevertheless. */
const STEP_MS = 5_000;

/** What is open and has to be closed in the end, in the reverse of the order in which it was opened. */
export class Closing {
  readonly #steps: (() => unknown)[] = [];
  #done: Promise<void> | undefined;

  /** Has something closed in the end, before all that was pushed earlier. */
  push(close: () => unknown): void {
    this.#steps.push(close);
  }

  /**
   * Closes everything, once. Each step gets five seconds, but for the last one (what was opened first: the database), which
   * nothing waits for. Throws the first error, after the rest is closed.
   */
  close(): Promise<void> {
    this.#done ??= this.#closeAll();
    return this.#done;
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#steps.pop(); close; close = this.#steps.pop()) {
      const closed = Promise.resolve().then(close);
      const bounded = this.#steps.length > 0 ? Promise.race([closed, sleep(STEP_MS)]) : closed;
      await bounded.catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }
}

const SQLITE_BUSY = 5;

/** Another process uses the folder. */
export class FolderTakenError extends Error {
  override readonly name = "FolderTakenError";
  /** Who that is: "process 123". */
  readonly holder: string;

  constructor(holder: string, cause: unknown) {
    super(`${holder} is using it; stop that one first`, { cause });
    this.holder = holder;
  }
}

/** A folder that no other process uses as long as this one lives. */
export interface FolderLock {
  release(): void;
}

/**
 * Takes a folder for this process alone.
 *
 * Node has no file locks, but the SQLite inside it has: an exclusive transaction on an empty file holds a lock of the
 * operating system, which ends with the process, however it ends. So there is nothing stale to be judged by process ids,
 * which are used again (and begin at 1 in each container). `owner` beside it is only for the message.
 *
 * Errors: {@link FolderTakenError}, which says who holds it ("process 123 is using it; stop that one first"); an Error that says
 * why it cannot be locked.
 */
export function lockFolder(folder: string): FolderLock {
  const owner = join(folder, "owner");
  let file: DatabaseSync | undefined;
  try {
    file = new DatabaseSync(join(folder, "lock"), { timeout: 0 });
    file.exec("BEGIN EXCLUSIVE");
    writeFileSync(owner, `${process.pid}\n`);
    const held = file;
    return { release: () => held.close() };
  } catch (error) {
    file?.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) throw new FolderTakenError(holder(owner), error);
    throw new Error((error as Error).message, { cause: error });
  }
}

function holder(owner: string): string {
  try {
    return `process ${readFileSync(owner, "utf8").trim()}`;
  } catch {
    return "another process";
  }
}
