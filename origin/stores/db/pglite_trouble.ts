import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** As much as the embedded database asks for in one piece (a segment of its journal), in bytes. */
const PIECE_BYTES = 16 * 1_048_576;

/**
 * Why the embedded database could not be opened. What it throws itself says little ("Aborted()", or a number), so it is tried
 * whether its folder takes a file as large as its own: then the error has the system's code (ENOSPC, EFBIG, EROFS). Otherwise its
 * files are at fault.
 */
export async function explainPglite(folder: string, thrown: unknown): Promise<Error> {
  const probe = join(folder, `.room-${process.pid}`);
  try {
    await writeFile(probe, Buffer.alloc(PIECE_BYTES));
  } catch (error) {
    return error as Error;
  } finally {
    await rm(probe, { force: true }).catch(() => undefined);
  }
  const message = thrown instanceof Error ? thrown.message : "unknown";
  return new DamagedDatabaseError(`its files are damaged, or of another version (${message})`, { cause: thrown });
}

/** The files of an embedded database cannot be used. */
export class DamagedDatabaseError extends Error {
  override readonly name = "DamagedDatabaseError";
}
