import { spawn } from "node:child_process";
import { wranglerCommand } from "./wrangler_command.ts";

/**
 * A process that does nothing but keep `wrangler dev` and everything it starts (workerd, esbuild) in a process group of
 * their own, and end the whole group when told to, or when whoever started it is gone, however it went.
 *
 * Arguments: the data folder, the port.
 */

const [data = "", port = ""] = process.argv.slice(2);
const GRACE_MS = 2_000;

// Before anything is started, so that nothing is ever left behind.
process.on("disconnect", stop);
process.on("SIGTERM", stop);
process.on("SIGINT", stop);

let stopping = false;
const { args, env } = wranglerCommand({ data, port: Number(port) });
const child = spawn(process.execPath, args, {
  env: { ...process.env, ...env },
  stdio: ["ignore", "pipe", "pipe"],
  detached: true,
});
// Whatever wrangler says is said to whoever reads the standard error; a reader that is gone must not keep us from ending it.
process.stderr.on("error", () => {});
child.stdout.pipe(process.stderr, { end: false });
child.stderr.pipe(process.stderr, { end: false });
child.once("error", () => process.exit(1));
child.once("exit", (code) => {
  signalGroup("SIGKILL");
  process.exit(stopping ? 0 : (code ?? 1));
});

function signalGroup(signal: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // Nobody is left in it.
  }
}

function stop(): void {
  if (stopping) return;
  stopping = true;
  signalGroup("SIGTERM");
  setTimeout(() => signalGroup("SIGKILL"), GRACE_MS).unref();
}
