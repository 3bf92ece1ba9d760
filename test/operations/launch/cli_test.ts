import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, type TestContext, test } from "node:test";
import { withoutOldFlags } from "../../../origin/commands/command_options.ts";
import { spawnCli } from "./spawn_cli.ts";

const GOOD = `homeservers: [{name: example.org, csApi: "http://synapse:8008"}]
datastores: [{id: a, type: file, forKinds: [all], opts: {path: ./media}}]
`;

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mxcdn-cli-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function result(t: TestContext, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const command = spawnCli(t, folder, args, { env });
  const { code } = await command.ended;
  return { code, said: command.said() };
}

/** A port that somebody listens on. */
async function busyPort(t: TestContext): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}

describe("mxcdn", () => {
  test("explains each command", async (t) => {
    const { said } = await result(t, ["--help"]);
    for (const name of ["start", "origin", "edge", "config"]) assert.match(said, new RegExp(`^ +${name} `, "m"));
    assert.match((await result(t, ["start", "--help"])).said, /--edge-port/);
    assert.match((await result(t, ["config", "--help"])).said, /reference/);
  });

  test("refuses what it does not know, and says where help is", async (t) => {
    const { code, said } = await result(t, ["begin"]);
    assert.equal(code, 1);
    assert.match(said, /unknown command 'begin'[\s\S]*--help/);
  });

  test("config check names file, line and key of what is wrong, and fails", async (t) => {
    await writeFile(join(folder, "broken.yaml"), `${GOOD}uploads:\n  maxBytes: lots\n`);
    const { code, said } = await result(t, ["config", "check", "broken.yaml"]);
    assert.equal(code, 1);
    assert.equal(said, "broken.yaml:4: uploads.maxBytes must be a whole number that is 0 or more\n");
  });

  test("config check reads the signing keys, and names file, line and key of one that cannot be used", async (t) => {
    const named = GOOD.replace("homeservers: [{name", "homeservers:\n  - {name").replace(
      "}]\n",
      ", signingKeyPath: my.key}\n",
    );
    await writeFile(join(folder, "media-repo.yaml"), named);
    for (const content of [undefined, "no key"]) {
      if (content !== undefined) await writeFile(join(folder, "my.key"), content);
      const { code, said } = await result(t, ["config", "check"]);
      assert.equal(code, 1);
      assert.match(said, /^media-repo\.yaml:2: homeservers\[0\]\.signingKeyPath names a key that cannot be used: /);
      const started = await result(t, ["origin"]);
      assert.equal(started.code, 1);
      assert.match(
        started.said,
        /media-repo\.yaml:2: homeservers\[0\]\.signingKeyPath names a key that cannot be used: /,
      );
    }
  });

  test("config check says what a good configuration serves, warns, and leaves nothing behind", async (t) => {
    await writeFile(join(folder, "media-repo.yaml"), `${GOOD}nonsense: 1\n`);
    const { code, said } = await result(t, ["config", "check"]);
    assert.equal(code, 0);
    assert.match(said, /^warning: media-repo\.yaml:3: nonsense /);
    assert.match(said, /media-repo\.yaml is good: it serves example\.org$/m);
    assert.deepEqual(await readdir(folder), ["media-repo.yaml"]);
  });

  test("config check reads REPO_CONFIG where no path is given", async (t) => {
    await mkdir(join(folder, "conf"));
    await writeFile(join(folder, "conf", "a.yaml"), GOOD);
    assert.match((await result(t, ["config", "check"], { REPO_CONFIG: "conf" })).said, /conf is good/);
    assert.match(
      (await result(t, ["config", "check", "other"], { REPO_CONFIG: "conf" })).said,
      /^\/.*\/other: does not exist/,
    );
  });

  test("config reference prints the reference", async (t) => {
    const { code, said } = await result(t, ["config", "reference"]);
    assert.equal(code, 0);
    assert.match(said, /^# Configuration reference/);
  });
});

describe("mxcdn start does not begin, and says in one line what to do, where", () => {
  const lines = (said: string) => said.trim().split("\n");

  test("the origin's port is taken", async (t) => {
    const port = await busyPort(t);
    const { code, said } = await result(t, ["start", "--port", String(port), "--edge-port", "0"]);
    assert.equal(code, 1);
    assert.deepEqual(lines(said), [
      `mxcdn: cannot listen on 127.0.0.1:${port}: the port is taken by another program; end that, or choose another with --port`,
    ]);
  });

  test("the edge's port is taken", async (t) => {
    const port = await busyPort(t);
    const { code, said } = await result(t, ["start", "--port", "0", "--edge-port", String(port)]);
    assert.equal(code, 1);
    assert.match(
      said,
      /^mxcdn: cannot listen on 127\.0\.0\.1:\d+: the port is taken .*choose another with --edge-port\n$/,
    );
  });

  test("a file is where the folder should be", async (t) => {
    await writeFile(join(folder, "data"), "");
    const { code, said } = await result(t, ["start"]);
    assert.equal(code, 1);
    assert.match(
      said,
      /^mxcdn: cannot write to the folder .*data \(a file is in its way\); move that file away[^\n]*\n$/,
    );
  });

  test("a datastore's folder cannot be written to", async (t) => {
    await writeFile(join(folder, "media"), "");
    await writeFile(join(folder, "c.yaml"), GOOD);
    const { code, said } = await result(t, ["start", "--config", "c.yaml", "--port", "0", "--edge-port", "0"]);
    assert.equal(code, 1);
    assert.match(said, /^mxcdn: cannot write to the folder \.\/media \(a file is in its way\)[^\n]*\n$/);
  });

  test("a folder cannot be made where no folder can", { skip: !existsSync("/proc/self") }, async (t) => {
    for (const args of [
      ["start", "--data", "/proc/nowhere/data"],
      ["origin", "--data", "/proc/nowhere/data"],
    ]) {
      const { code, said } = await result(t, args);
      assert.equal(code, 1);
      assert.match(said, /^mxcdn: cannot write to the folder \/proc\/nowhere\/data \([^\n]*name another folder\n$/);
    }
  });

  test("the origin's own folders cannot be written to", async (t) => {
    await writeFile(join(folder, "media"), "");
    await writeFile(join(folder, "c.yaml"), GOOD);
    const { code, said } = await result(t, ["origin", "--config", "c.yaml", "--port", "0"]);
    assert.equal(code, 1);
    assert.match(said, /mxcdn: cannot write to the folder \.\/media \(a file is in its way\)[^\n]*\n$/);
  });

  test("the address is not one of this machine", async (t) => {
    await writeFile(join(folder, "c.yaml"), `${GOOD}repo: {bindAddress: 192.0.2.1}\n`);
    const { code, said } = await result(t, ["start", "--config", "c.yaml", "--port", "0"]);
    assert.equal(code, 1);
    assert.equal(
      said,
      "mxcdn: cannot listen on 192.0.2.1:0: that is not an address of this machine; set `repo.bindAddress` to one that is\n",
    );
  });

  test("nobody reads what it says", async (t) => {
    const command = spawnCli(t, folder, ["config", "reference"], { unread: true });
    assert.deepEqual(await command.ended, { code: 0, signal: null });
    assert.equal(command.said(), "");
  });

  test("the configuration is broken", async (t) => {
    await writeFile(join(folder, "c.yaml"), `${GOOD}repo: {port: many}\n`);
    const { code, said } = await result(t, ["start", "--config", "c.yaml"]);
    assert.equal(code, 1);
    assert.deepEqual(lines(said), ["mxcdn: c.yaml:3: repo.port must be a whole number from 0 to 65535"]);
  });

  test("the configuration is not there", async (t) => {
    const { code, said } = await result(t, ["start", "--config", "nowhere.yaml"]);
    assert.equal(code, 1);
    assert.match(said, /^mxcdn: \/.*\/nowhere\.yaml: does not exist/);
  });

  test("a port is no number", async (t) => {
    const { code, said } = await result(t, ["start", "--port", "http"]);
    assert.equal(code, 1);
    assert.match(said, /'--port <number>' argument 'http' is invalid/);
  });
});

describe("the flags of matrix-media-repo", () => {
  test("are understood, or dropped where they mean nothing", () => {
    const given = [
      "-config",
      "a.yaml",
      "-migrations",
      "./migrations",
      "-templates=./t",
      "-assets",
      "./assets",
      "--port",
      "1",
    ];
    assert.deepEqual(withoutOldFlags(given), ["--config", "a.yaml", "--port", "1"]);
    assert.deepEqual(withoutOldFlags(["-config=b.yaml", "-version"]), ["--config", "b.yaml", "--version"]);
  });
});
