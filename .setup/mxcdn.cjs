#!/usr/bin/env node
// `npx mxcdn …`: runs the command line with the Node that came with the dependencies. It installs nothing, because the service
// may be running on what is there. Plain CommonJS, because any Node must be able to run it.
const { spawn } = require("node:child_process");
const { existsSync } = require("node:fs");
const { join } = require("node:path");
const { pathToFileURL } = require("node:url");
const { isInstalled } = require("./installed.cjs");

// A local edge needs what is for development, too.
const dev = process.argv[2] === "start" || process.argv[2] === "edge";
if (!isInstalled({ dev })) {
  const top = join(__dirname, "..");
  console.error(
    `mxcdn: the dependencies are missing, or others than package-lock.json names: stop the service, run npm ci${dev ? "" : " --omit=dev"} in ${top}, and start it again`,
  );
  process.exit(1);
}

const cli = join(__dirname, "..", "origin", "cli.ts");
const NODE_MAJOR = 24;
if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR) {
  process.argv[1] = cli;
  import(pathToFileURL(cli).href);
} else {
  const local = join(__dirname, "..", "node_modules", ".bin", process.platform === "win32" ? "node.cmd" : "node");
  if (!existsSync(local)) {
    console.error(
      `mxcdn: needs Node ${NODE_MAJOR}, and this is ${process.version}: install it from https://nodejs.org`,
    );
    process.exit(1);
  }
  const child = spawn(local, [cli, ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  // A terminal sends Ctrl-C to both of us; anything else is sent to us alone.
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  process.on("SIGINT", () => {});
  child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
}
