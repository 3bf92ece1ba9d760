import { type ChildProcess, fork } from "node:child_process";
import type { Output } from "../program.ts";

/** Child processes of this program: how they are started, and how they end with everything that they started. */

/** A running child process, and how to end it. */
export interface ManagedProcess {
  /** Resolves when it and everything that it started is gone, with how it ended: `exit code 1`, `signal SIGKILL`. */
  readonly gone: Promise<string>;
  /** Asks it to end, and ends it after `graceMs` milliseconds. Resolves when it is gone. */
  stop(graceMs: number): Promise<void>;
}

/** What to start. */
export interface ProcessOptions {
  readonly script: string;
  readonly args: readonly string[];
  /** A message to send over its channel, for secrets, which must not stand in an argument. */
  readonly job?: object;
  readonly echo: Pick<Output, "raw" | "rawWarn">;
}

/**
 * Starts a script as a child process that leads a process group of its own: a Ctrl-C of the terminal reaches only this process,
 * which passes it on. The child ends itself when this process is gone, because its channel closes. Everything that the child
 * started ends with it, however it ends.
 */
export function startProcess({ script, args, job, echo }: ProcessOptions): ManagedProcess {
  const child = fork(script, args, { stdio: ["ignore", "pipe", "pipe", "ipc"], detached: true, execArgv: [] });
  child.stdout?.setEncoding("utf8").on("data", echo.raw);
  child.stderr?.setEncoding("utf8").on("data", echo.rawWarn);
  // Processes that it started hold its outputs open, which would never close.
  child.once("exit", () => endGroup(child));
  const gone = new Promise<string>((resolve) => {
    child.once("close", (code, signal) => resolve(code === null ? `signal ${signal}` : `exit code ${code}`));
    child.once("error", (error) => resolve(error.message));
  });
  // If it is gone already, `gone` tells.
  if (job) child.send(job, () => {});
  return { gone, stop: (graceMs) => stopChild(child, gone, graceMs) };
}

/** Ends a child with SIGTERM, and with SIGKILL after `graceMs` milliseconds. Resolves with `gone`. */
export async function stopChild(child: ChildProcess, gone: Promise<unknown>, graceMs: number): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
  await gone;
  clearTimeout(timer);
}

function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // The group is empty.
  }
}
