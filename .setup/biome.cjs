// Runs Biome. Its platform packages are dependencies of our own, because its wrapper package also asks for those of every
// other platform, and not every registry mirror carries them all; elsewhere npx brings the same version.
const { spawnSync } = require("node:child_process");

const VERSION = "2.6.8";
const args = process.argv.slice(2);

function local() {
  try {
    return require.resolve(`@biomejs/cli-${process.platform}-${process.arch}/biome`);
  } catch {
    return undefined;
  }
}

const binary = local();
const run = binary
  ? spawnSync(binary, args, { stdio: "inherit" })
  : spawnSync("npx", ["--yes", `@biomejs/biome@${VERSION}`, ...args], { stdio: "inherit" });
process.exit(run.status ?? 1);
