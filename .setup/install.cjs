// Makes a clone ready before `npm start`, `npm test` and their kin: installs the locked dependencies when they are missing or
// others than the lock file names, and makes sure that the Node which runs everything else is new enough. Commands that only
// read, and those of production, never come here. Plain CommonJS, because any Node must be able to run it.
const { spawnSync } = require("node:child_process");
const { existsSync } = require("node:fs");
const { join } = require("node:path");
const { isInstalled } = require("./installed.cjs");

const top = join(__dirname, "..");
const NODE_MAJOR = 24;

function stop(line) {
  console.error(`mxcdn: ${line}`);
  process.exit(1);
}

if (!isInstalled({ dev: true })) {
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
