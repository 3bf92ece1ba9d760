import { type FSWatcher, watch } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { fingerprint } from "../fingerprint.ts";
import type { LoadedConfig } from "../load.ts";

/** What to do when the configuration has changed. */
export interface ConfigWatch {
  /** The `fingerprint` of what holds now, taken before it was loaded: a change since then is seen, too. */
  readonly known: string;
  /** Loads it anew. */
  readonly load: () => Promise<LoadedConfig>;
  /** It changed, and can be used. What differs, the callee finds out. Throws where it is to be tried again at the next look. */
  readonly onChange: (loaded: LoadedConfig) => void | Promise<void>;
  /** It changed, and cannot be used; what held before goes on to hold. Said once per change. */
  readonly onBroken: (error: Error) => void;
  /** It can be used, but `onChange` failed, and is tried again. Said once per change and failure. */
  readonly onFailed: (error: Error) => void;
  /** How long to wait for a change to be complete, in milliseconds. */
  readonly settleMs?: number;
  /** How often to look by ourselves, in milliseconds: some mounts tell nobody of changes. */
  readonly pollMs?: number;
}

const SETTLE_MS = 500;
const POLL_MS = 15_000;

/**
 * Watches the configuration at a path until it is closed. It watches folders, not files, so that editors which rename and
 * Kubernetes which swaps symbolic links are seen, and compares contents, so that mere touching is not a change.
 */
export async function watchConfig(path: string, what: ConfigWatch): Promise<{ close(): void }> {
  let { known } = what;
  let seen = known;
  let failed = "";
  let watchers: FSWatcher[] = [];
  let settling: NodeJS.Timeout | undefined;
  let work: Promise<void> = Promise.resolve();
  let closed = false;

  const soon = () => {
    clearTimeout(settling);
    settling = setTimeout(look, what.settleMs ?? SETTLE_MS).unref();
  };
  function look(): void {
    work = work.then(compare).catch((error: Error) => what.onBroken(error));
  }
  async function compare(): Promise<void> {
    const now = await fingerprint(path);
    if (closed) return;
    if (now !== seen) {
      // Not before two looks agree: a file that is being written is half there.
      seen = now;
      return soon();
    }
    if (now === known) return;
    await arm();
    const loaded = await what.load().catch((error: unknown) => what.onBroken(asError(error)));
    if (closed) return;
    // What was taken over in part is not known: not even what held before may be taken for it.
    known = loaded && !(await takeOver(loaded, now)) ? "" : now;
  }
  async function takeOver(loaded: LoadedConfig, now: string): Promise<boolean> {
    try {
      await what.onChange(loaded);
      return true;
    } catch (error) {
      const failure = `${now} ${asError(error).message}`;
      if (failure !== failed) what.onFailed(asError(error));
      failed = failure;
      return false;
    }
  }
  async function arm(): Promise<void> {
    for (const watcher of watchers) watcher.close();
    watchers = closed ? [] : (await foldersOf(path)).flatMap((folder) => watchFolder(folder, soon));
  }

  await arm();
  look();
  const poll = setInterval(look, what.pollMs ?? POLL_MS).unref();
  return {
    close() {
      closed = true;
      clearTimeout(settling);
      clearInterval(poll);
      for (const watcher of watchers) watcher.close();
    },
  };
}

/** A folder that cannot be watched is looked at from time to time all the same. */
function watchFolder(folder: string, onEvent: () => void): FSWatcher[] {
  try {
    const watcher = watch(folder, { persistent: false }, onEvent);
    watcher.on("error", () => watcher.close());
    return [watcher];
  } catch {
    return [];
  }
}

/** The folders in which a change may show: where the path stands, and where it leads. */
async function foldersOf(path: string): Promise<string[]> {
  if ((await stat(path).catch(() => undefined))?.isDirectory()) return [path];
  const real = await realpath(path).catch(() => path);
  return [...new Set([dirname(path), dirname(real)])];
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
