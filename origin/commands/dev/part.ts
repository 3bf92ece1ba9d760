import { type ChildProcess, fork } from "node:child_process";
import type { Say } from "../say.ts";

/** A running process of ours, and how to end it. */
export interface Part {
  /** Settles when it and everything that it has started is gone: with how it ended, such as `exit code 1` or `signal SIGKILL`. */
  readonly gone: Promise<string>;
  /** Asks it to end, and ends it after `graceMs` milliseconds. Resolves when it is gone. */
  stop(graceMs: number): Promise<void>;
}

/** What to start. */
export interface PartOptions {
  readonly script: string;
  readonly args: readonly string[];
  /** What it is told once, over its channel: for what must not stand in an argument. */
  readonly job?: object;
  readonly echo: Pick<Say, "raw" | "rawWarn">;
}

/**
 * Starts a script of ours as a process of its own, which leads a process group of its own: a terminal's Ctrl-C reaches us
 * alone, and we pass it on. It ends itself when we are gone, because its channel to us closes then. What it has started ends
 * with it, however it ends.
 */
export function startPart({ script, args, job, echo }: PartOptions): Part {
  const child = fork(script, args, { stdio: ["ignore", "pipe", "pipe", "ipc"], detached: true, execArgv: [] });
  child.stdout?.setEncoding("utf8").on("data", echo.raw);
  child.stderr?.setEncoding("utf8").on("data", echo.rawWarn);
  // Whatever it has started holds its outputs open, and they would never close.
  child.once("exit", () => endGroup(child));
  const gone = new Promise<string>((resolve) => {
    child.once("close", (code, signal) => resolve(code === null ? `signal ${signal}` : `exit code ${code}`));
    child.once("error", (error) => resolve(error.message));
  });
  // Where it is gone already, `gone` tells.
  if (job) child.send(job, () => {});
  return { gone, stop: (graceMs) => stopChild(child, gone, graceMs) };
}

async function stopChild(child: ChildProcess, gone: Promise<unknown>, graceMs: number): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
  await gone;
  clearTimeout(timer);
}

function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // Nobody is left in it.
  }
}
