import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";

/** Which commands prepare a clone, and which leave it as it is. */

const SETUP = fileURLToPath(new URL("../../../.setup", import.meta.url));
const LOCKED = {
  "": { version: "1.0.0" },
  "node_modules/needed": { version: "2.0.0" },
  "node_modules/tool": { version: "3.0.0", dev: true },
  "node_modules/elsewhere": { version: "4.0.0", optional: true },
};
const INSTALLED = { "node_modules/needed": { version: "2.0.0" }, "node_modules/tool": { version: "3.0.0", dev: true } };

let clone = "";
beforeEach(async () => {
  clone = await mkdtemp(join(tmpdir(), "mxcdn-clone-"));
  await cp(SETUP, join(clone, ".setup"), { recursive: true });
  await writeFile(join(clone, "package-lock.json"), JSON.stringify({ packages: LOCKED }));
  await mkdir(join(clone, "origin"));
  await writeFile(join(clone, "origin", "cli.ts"), 'console.log("ran", process.argv.slice(2).join(" "));\n');
  // Stands for npm; says that it was asked to do something.
  const npm = 'require("node:fs").writeFileSync(require("node:path").join(__dirname, "npm-ran"), "");\n';
  await writeFile(join(clone, "npm.cjs"), npm);
});
afterEach(() => rm(clone, { recursive: true }));

async function install(packages: object | undefined): Promise<void> {
  if (packages === undefined) return await rm(join(clone, "node_modules"), { recursive: true, force: true });
  await mkdir(join(clone, "node_modules"), { recursive: true });
  await writeFile(join(clone, "node_modules", ".package-lock.json"), JSON.stringify({ packages }));
}

async function run(script: string, ...args: string[]): Promise<{ code: number; said: string; installed: boolean }> {
  await rm(join(clone, "npm-ran"), { force: true });
  const env = { ...process.env, npm_execpath: join(clone, "npm.cjs") };
  return await new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(clone, ".setup", script), ...args],
      { cwd: clone, env },
      (error, stdout, stderr) => {
        const code = error ? Number(error.code) : 0;
        resolve({ code, said: stdout + stderr, installed: existsSync(join(clone, "npm-ran")) });
      },
    );
  });
}

const STATES: readonly (readonly [string, object | undefined])[] = [
  ["nothing is installed", undefined],
  ["a package is missing", { "node_modules/tool": { version: "3.0.0" } }],
  ["a package has another version", { ...INSTALLED, "node_modules/needed": { version: "1.9.0" } }],
  ["a package of this platform has another version", { ...INSTALLED, "node_modules/elsewhere": { version: "3.9.0" } }],
];

for (const [state, packages] of STATES) {
  test(`where ${state}, commands that read and those of production say what to run, and install nothing`, async () => {
    await install(packages);
    for (const args of [["config", "check"], ["--help"], ["signing-key", "generate"], ["origin"], []]) {
      const { code, said, installed } = await run("mxcdn.cjs", ...args);
      assert.equal(code, 1, args.join(" "));
      assert.match(
        said,
        /^mxcdn: the dependencies are missing, or others than [^\n]* run npm ci --omit=dev in [^\n]*\n$/,
      );
      assert.equal(installed, false);
    }
    const { code, said, installed } = await run("mxcdn.cjs", "start");
    assert.deepEqual({ code, installed }, { code: 1, installed: false });
    assert.match(said, /run npm ci in /);
  });

  test(`where ${state}, what npm runs before npm start and npm test installs`, async () => {
    await install(packages);
    assert.equal((await run("install.cjs")).installed, true);
  });
}

test("where all is there, commands run, and nothing is installed, whatever the times of the files", async () => {
  await install(INSTALLED);
  await writeFile(join(clone, "package-lock.json"), JSON.stringify({ packages: LOCKED }));
  const { code, said, installed } = await run("mxcdn.cjs", "config", "check");
  assert.deepEqual({ code, said, installed }, { code: 0, said: "ran config check\n", installed: false });
  assert.equal((await run("install.cjs")).installed, false);
});

test("what is for development is missed only by what needs it", async () => {
  await install({ "node_modules/needed": { version: "2.0.0" } });
  for (const args of [["config", "check"], ["origin"]]) assert.equal((await run("mxcdn.cjs", ...args)).code, 0);
  for (const command of ["start", "edge"]) assert.match((await run("mxcdn.cjs", command)).said, /run npm ci in /);
  assert.equal((await run("install.cjs")).installed, true);
});
