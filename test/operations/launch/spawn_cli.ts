import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Lifetime } from "../../support/lifetime.ts";

/** A command of ours that runs in a folder. */
export interface RunningCommand {
  readonly pid: number;
  /** All that it has said so far, on both outputs. */
  said(): string;
  /** Resolves when it has said this; fails when it ends before. */
  says(what: RegExp): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  /** Resolves with how it ended. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

const CLI = fileURLToPath(new URL("../../../origin/cli.ts", import.meta.url));
const MAIN = fileURLToPath(new URL("../../../origin/main.ts", import.meta.url));

function scriptOf({ main, top }: { readonly main?: boolean; readonly top?: string }): string {
  if (top !== undefined) return join(top, "origin", "cli.ts");
  return main ? MAIN : CLI;
}

/** Runs `mxcdn …` (or, with `main`, the origin's own entry) in a folder. It is ended with `t`. */
export function spawnCli(
  t: Lifetime,
  cwd: string,
  args: readonly string[],
  options: {
    readonly main?: boolean;
    readonly env?: Readonly<Record<string, string>>;
    /** Another copy of this repository, whose command line it is. */
    readonly top?: string;
    /** Its standard output is closed before it says anything. */
    readonly unread?: boolean;
  } = {},
): RunningCommand {
  const { REPO_CONFIG: _, ...env } = process.env;
  const child = spawn(process.execPath, [scriptOf(options), ...args], {
    cwd,
    env: { ...env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (options.unread) child.stdout.destroy();
  let text = "";
  for (const output of [child.stdout, child.stderr]) {
    output.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      child.emit("said");
    });
  }
  const ended = once(child, "close").then(([code, signal]) => ({ code, signal }));
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    await ended;
  });
  return {
    pid: child.pid ?? 0,
    said: () => text,
    says: (what) => untilSaid(child, () => text, what),
    kill: (signal) => void child.kill(signal),
    ended,
  };
}

async function untilSaid(child: ChildProcess, said: () => string, what: RegExp): Promise<string> {
  return await new Promise((resolve, reject) => {
    const look = () => {
      if (!what.test(said())) return;
      child.off("said", look);
      child.off("close", fail);
      resolve(said());
    };
    const fail = () => reject(new Error(`ended without saying ${what}:\n${said()}`));
    child.on("said", look);
    child.once("close", fail);
    look();
  });
}

/** The processes that a process has started, and theirs, as long as they live. */
export function descendants(pid: number): number[] {
  const parents = new Map(readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [statOf(Number(name))] : [])));
  const found = [pid];
  for (const one of found) for (const [child, parent] of parents) if (parent === one) found.push(child);
  return found.slice(1);
}

/** The words of the command that a process runs; none where it has ended. */
export function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return [];
  }
}

/** Is there still such a process? One that has ended and waits to be noticed is not. */
export function isAlive(pid: number): boolean {
  return statOf(pid)[1] !== -1;
}

/** A process and its parent; -1 where it has ended. */
function statOf(pid: number): [number, number] {
  try {
    const [, state = "", parent = ""] = /\) (\S) (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
    return [pid, state === "Z" || state === "X" ? -1 : Number(parent)];
  } catch {
    return [pid, -1];
  }
}

/** Waits until none of these processes lives, for at most `ms` milliseconds; resolves with those that do. */
export async function survivors(pids: readonly number[], ms: number): Promise<number[]> {
  const end = performance.now() + ms;
  for (;;) {
    const alive = pids.filter(isAlive);
    if (alive.length === 0 || performance.now() > end) return alive;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
