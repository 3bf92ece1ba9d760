// Makes a fresh clone ready: installs the locked dependencies when they are missing or older than the lock file, and
// makes sure that the Node which runs everything else is new enough. Plain CommonJS, because any Node must be able to run it.
const { spawnSync } = require("node:child_process");
const { existsSync, statSync } = require("node:fs");
const { join } = require("node:path");

const top = join(__dirname, "..");
const installed = join(top, "node_modules", ".package-lock.json");
const lock = join(top, "package-lock.json");
const NODE_MAJOR = 24;

function stop(line) {
  console.error(`mxcdn: ${line}`);
  process.exit(1);
}

if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  console.error("mxcdn: installing the locked dependencies (once) …");
  const npm = process.env.npm_execpath
    ? [process.execPath, process.env.npm_execpath]
    : [process.platform === "win32" ? "npm.cmd" : "npm"];
  const run = spawnSync(npm[0], [...npm.slice(1), "ci", "--loglevel=error"], { cwd: top, stdio: "inherit" });
  if (run.status !== 0) stop("cannot install the dependencies; see npm's message above, then run this again");
}

const local = join(top, "node_modules", ".bin", process.platform === "win32" ? "node.cmd" : "node");
const probe = spawnSync(existsSync(local) ? local : process.execPath, ["--version"], { encoding: "utf8" });
const major = Number(/^v(\d+)/.exec(probe.stdout ?? "")?.[1] ?? 0);
if (major < NODE_MAJOR) {
  stop(
    `needs Node ${NODE_MAJOR}; on Linux it comes with the dependencies, here please install it from https://nodejs.org`,
  );
}
