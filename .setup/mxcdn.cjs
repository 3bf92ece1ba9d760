#!/usr/bin/env node
// `npx mxcdn …`: installs what is missing on a fresh clone, and runs the command line with the Node that came with it. Plain
// CommonJS, because any Node must be able to run it.
require("./install.cjs");
const { spawn } = require("node:child_process");
const { existsSync } = require("node:fs");
const { join } = require("node:path");
const { pathToFileURL } = require("node:url");

const cli = join(__dirname, "..", "origin", "cli.ts");
if (Number(process.versions.node.split(".")[0]) >= 24) {
  process.argv[1] = cli;
  import(pathToFileURL(cli).href);
} else {
  const local = join(__dirname, "..", "node_modules", ".bin", process.platform === "win32" ? "node.cmd" : "node");
  const child = spawn(existsSync(local) ? local : process.execPath, [cli, ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  // A terminal sends Ctrl-C to both of us; anything else is sent to us alone.
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  process.on("SIGINT", () => {});
  child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
}
