import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../platform/clock.ts";

/** What {@link makeCleanStaging} needs. Times in milliseconds. */
export interface CleanStagingParts {
  readonly clock: Clock;
  /** Asked anew at each run: a changed configuration may have added some. */
  readonly folders: () => readonly string[];
  /** Files that nobody has written to for this long are left-overs of a process that was killed. */
  readonly minAgeMs: number;
}

/** Removes what killed processes left in the folders where uploads wait to be stored. */
export function makeCleanStaging(parts: CleanStagingParts): (signal: AbortSignal) => Promise<number> {
  return async function cleanStaging(signal) {
    let removed = 0;
    for (const folder of parts.folders()) {
      for (const name of await readdir(folder).catch(() => [])) {
        if (signal.aborted) return removed;
        const path = join(folder, name);
        const found = await stat(path).catch(() => undefined);
        if (!found?.isFile() || found.mtimeMs > parts.clock() - parts.minAgeMs) continue;
        await rm(path, { force: true });
        removed += 1;
      }
    }
    return removed;
  };
}
