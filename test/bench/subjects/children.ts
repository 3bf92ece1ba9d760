import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout } from "node:timers/promises";

/** A server in a process of its own, so that its costs can be told from the driver's. */
export interface Server {
  readonly url: string;
  readonly pid: number;
  close(): Promise<void>;
}

const READY_MS = 30_000;
const PATIENCE_MS = 5_000;

/** Runs a script of Node's and resolves when it says its address on its standard output. */
export async function startScript(
  script: string,
  args: readonly string[],
  nodeArgs: readonly string[] = [],
): Promise<Server> {
  const child = spawn(process.execPath, [...nodeArgs, script, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const url = await addressOf(child);
  return { url, pid: child.pid ?? 0, close: () => endChild(child) };
}

function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const timer = globalThis.setTimeout(() => reject(new Error(`it is not ready: ${said}`)), READY_MS);
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      const url = /(http:\/\/[\d.]+:\d+)/.exec(said)?.[1];
      if (url === undefined) return;
      clearTimeout(timer);
      resolve(url);
    });
    child.once("exit", () => reject(new Error(`it has ended: ${said}`)));
  });
}

/** Asks a process to end, and ends it when it does not. */
export async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const done = new AbortController();
  await Promise.race([gone, setTimeout(PATIENCE_MS, undefined, { signal: done.signal }).catch(() => {})]);
  done.abort();
  child.kill("SIGKILL");
  await gone;
}
