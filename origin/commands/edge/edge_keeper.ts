import { spawn } from "node:child_process";
import { wranglerCommand } from "./wrangler_command.ts";

/**
 * A process that does nothing but run `wrangler dev`, and end everything that it starts (workerd, esbuild) when told to, or
 * when whoever started it is gone, however it went. They are all of one process group, which this process leads.
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
const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
// Whatever wrangler says is said to whoever reads the standard error; a reader that is gone must not keep us from ending it.
process.stderr.on("error", () => {});
child.stdout.pipe(process.stderr, { end: false });
child.stderr.pipe(process.stderr, { end: false });
child.once("error", () => process.exit(1));
// Whoever started us ends the others of the group; where there is nobody, we do.
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
