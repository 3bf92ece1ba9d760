import { type ChildProcess, fork } from "node:child_process";
import type { Say } from "./say.ts";

/** A running process of ours, and how to end it. */
export interface Part {
  readonly name: string;
  /** Settles when it is gone: with its exit code, or `undefined` where a signal ended it. */
  readonly gone: Promise<number | undefined>;
  /** Asks it to end, and ends it after `graceMs` milliseconds. Resolves when it is gone. */
  stop(graceMs: number): Promise<void>;
}

/**
 * Starts a script of ours as a process of its own, outside our process group: a terminal's Ctrl-C reaches us alone, and we
 * pass it on. It ends itself when we are gone, because its channel to us closes then.
 */
export function startPart(
  name: string,
  script: string,
  args: readonly string[],
  echo: Pick<Say, "raw" | "rawWarn">,
): Part {
  const child = fork(script, args, { stdio: ["ignore", "pipe", "pipe", "ipc"], detached: true, execArgv: [] });
  child.stdout?.setEncoding("utf8").on("data", echo.raw);
  child.stderr?.setEncoding("utf8").on("data", echo.rawWarn);
  const gone = new Promise<number | undefined>((resolve) => {
    child.once("close", (code) => resolve(code ?? undefined));
    child.once("error", () => resolve(undefined));
  });
  return {
    name,
    gone,
    stop: (graceMs) => stopChild(child, gone, graceMs),
  };
}

async function stopChild(child: ChildProcess, gone: Promise<unknown>, graceMs: number): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
  await gone;
  clearTimeout(timer);
}
