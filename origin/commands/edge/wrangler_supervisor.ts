import { spawn } from "node:child_process";
import { wranglerCommand } from "./wrangler_command.ts";

/**
 * A process that runs `wrangler dev` and ends everything that it starts (workerd, esbuild) when it is told to, or when its
 * parent process is gone, even if that was killed. They all belong to one process group, which this process leads.
 *
 * Arguments: the data folder, the port.
 */

const [data = "", port = ""] = process.argv.slice(2);
const GRACE_MS = 2_000;

// Before anything is started, so that no process stays behind.
process.on("disconnect", stop);
process.on("SIGTERM", stop);
process.on("SIGINT", stop);

let stopping = false;
const { args, env } = wranglerCommand({ data, port: Number(port) });
const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
// Copies the output of wrangler to the standard error; without a reader this process must still end wrangler.
process.stderr.on("error", () => {});
child.stdout.pipe(process.stderr, { end: false });
child.stderr.pipe(process.stderr, { end: false });
child.once("error", () => process.exit(1));
// The parent process ends the rest of the group; without a parent, this process does.
child.once("exit", (code) => (process.connected ? process.exit(stopping ? 0 : (code ?? 1)) : endGroup()));

function endGroup(): void {
  process.kill(-process.pid, "SIGKILL");
}

function stop(): void {
  if (stopping) return;
  stopping = true;
  child.kill("SIGTERM");
  setTimeout(endGroup, GRACE_MS).unref();
}
