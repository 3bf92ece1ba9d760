import assert from "node:assert/strict";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, type TestContext, test } from "node:test";
import { newFolder } from "../../support/database.ts";
import { replaceFile } from "../../support/files.ts";
import { spawnCli } from "./spawn_cli.ts";

const CONFIG = `homeservers: [{name: example.org, csApi: "http://127.0.0.1:9"}]
datastores: [{id: a, type: file, forKinds: [all], opts: {path: ./media}}]
database: {folder: ./db}
repo: {port: 0}
`;

describe("the origin alone", { timeout: 120_000 }, () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "mxcdn-origin-"));
    await writeFile(join(folder, "c.yaml"), CONFIG);
    await rename((await newFolder()).folder, join(folder, "db"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function started(t: TestContext, args: readonly string[], options = {}) {
    const command = spawnCli(t, folder, args, options);
    const said = await command.says(/the origin answers at (\S+)/);
    return { command, url: /the origin answers at (\S+)/.exec(said)?.[1] ?? "" };
  }

  for (const [name, args, options] of [
    ["mxcdn origin", ["origin", "--config", "c.yaml"], {}],
    ["its own entry, with the flag of matrix-media-repo", ["-config", "c.yaml"], { main: true }],
    ["its own entry, with REPO_CONFIG", [], { main: true, env: { REPO_CONFIG: "c.yaml" } }],
  ] as const) {
    test(`starts with ${name}, and ends on SIGTERM with exit code 0`, async (t) => {
      const { command, url } = await started(t, args, options);
      assert.equal((await fetch(`${url}/healthz`)).status, 200);
      assert.match(command.said(), /the database is the embedded one in \.\/db/);
      command.kill("SIGTERM");
      assert.deepEqual(await command.ended, { code: 0, signal: null });
    });
  }

  test("says in one line why it cannot start", async (t) => {
    await writeFile(join(folder, "c.yaml"), `${CONFIG}uploads: {maxBytes: lots}\n`);
    const command = spawnCli(t, folder, ["origin", "--config", "c.yaml"]);
    assert.equal((await command.ended).code, 1);
    assert.equal(command.said(), "mxcdn: c.yaml:5: uploads.maxBytes must be a whole number that is 0 or more\n");
  });

  test("goes on with what it has when the changed configuration is broken, and says so once", async (t) => {
    const { command, url } = await started(t, ["origin", "--config", "c.yaml"]);
    await replaceFile(join(folder, "c.yaml"), `${CONFIG}uploads: {maxBytes: lots}\n`);
    await command.says(
      /changed configuration rejected, the previous one stays in force: c\.yaml:5: uploads\.maxBytes must be/,
    );
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    await replaceFile(join(folder, "c.yaml"), `${CONFIG}uploads: {maxBytes: 5}\n`);
    await command.says(/changed configuration applied|it needs a restart/);
    assert.equal(command.said().match(/configuration rejected/g)?.length, 1);
  });
});
