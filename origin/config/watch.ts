import { createHash } from "node:crypto";
import { type FSWatcher, watch } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { ConfigError } from "./config_error.ts";
import type { LoadedConfig } from "./load.ts";
import { readConfigFiles } from "./read_files.ts";

/** What to do when the configuration has changed. */
export interface ConfigWatch {
  /** The {@link fingerprint} of what holds now, taken before it was loaded: a change since then is seen, too. */
  readonly known: string;
  /** Loads it anew. */
  readonly load: () => Promise<LoadedConfig>;
  /** It changed, and can be used. What differs, the callee finds out. */
  readonly onChange: (loaded: LoadedConfig) => void | Promise<void>;
  /** It changed, and cannot be used; what held before goes on to hold. Said once per change. */
  readonly onBroken: (error: Error) => void;
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
    known = now;
    await arm();
    const loaded = await what.load().catch((error: unknown) => {
      what.onBroken(error instanceof Error ? error : new Error(String(error)));
    });
    if (loaded && !closed) await what.onChange(loaded);
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

/** What the files hold, as a hash; what keeps them from being read counts as their contents. */
export async function fingerprint(path: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    for (const { name, text } of await readConfigFiles(path)) hash.update(JSON.stringify([name, text]));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    hash.update(error.message);
  }
  return hash.digest("hex");
}
