import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

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
