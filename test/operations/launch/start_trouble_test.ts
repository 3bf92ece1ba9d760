import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { CommandError, describeError } from "../../../origin/commands/trouble/describe_error.ts";
import { StartTrouble } from "../../../origin/platform/lifetime.ts";
import { newFolder } from "../../support/database.ts";
import { spawnCli } from "./spawn_cli.ts";

/** What ends a start is named in one line, with what to do. */

const MAIN = fileURLToPath(new URL("../../../origin/main.ts", import.meta.url));
const CONFIG = `homeservers: [{name: example.org, csApi: "http://127.0.0.1:9"}]
datastores: [{id: a, type: file, forKinds: [all], opts: {path: ./media}}]
database: {folder: ./db}
repo: {port: 0}
`;

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mxcdn-trouble-"));
  await writeFile(join(folder, "c.yaml"), CONFIG);
});
afterEach(() => rm(folder, { recursive: true }));

/** Starts the origin, in a shell that has done `before`; resolves with its lines but for those that every start has. */
async function start(before = ""): Promise<string[]> {
  const said = await new Promise<string>((resolve) => {
    const script = `${before} exec "$0" "$@"`;
    const args = ["-c", script, process.execPath, MAIN, "--config", "c.yaml"];
    execFile("sh", args, { cwd: folder, timeout: 120_000 }, (_error, stdout, stderr) => resolve(stdout + stderr));
  });
  return said
    .split("\n")
    .filter((line) => line !== "" && !/^mxcdn: (configuration:|warning:|the database is the embedded)/.test(line));
}

async function busyPort(t: TestContext): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return (server.address() as { port: number }).port;
}

describe("a start that ends says why in one line, and what to do:", { timeout: 300_000 }, () => {
  test("the disk takes no more of the embedded database", async () => {
    // As on a full disk the database fails in the middle of its work, and says no more than "Aborted()".
    const lines = await start("ulimit -f 2000;");
    assert.deepEqual(lines, [
      "mxcdn: cannot use the embedded database in ./db: this process may write no files so large; raise its limit of file size (ulimit -f, LimitFSIZE=)",
    ]);
    assert.match(
      (await start("ulimit -f 0;")).join("\n"),
      /^mxcdn: cannot [^\n]* this process may write no files so large; [^\n]*$/,
    );
  });

  for (const [what, damage] of [
    ["is cut short", async (data: string) => await writeFile(join(data, "global", "pg_control"), "")],
    ["lacks its version", async (data: string) => await rm(join(data, "PG_VERSION"))],
  ] as const) {
    test(`the embedded database ${what}`, async () => {
      const made = await newFolder();
      await rename(made.folder, join(folder, "db"));
      await damage(join(folder, "db", "pgdata"));
      const lines = await start();
      assert.equal(lines.length, 1, lines.join("\n"));
      assert.match(
        lines[0] ?? "",
        /^mxcdn: cannot use the embedded database in \.\/db: its files are damaged, .*; bring the folder back from a backup/,
      );
    });
  }

  test("the database has a schema from before the first release", async () => {
    const made = await newFolder();
    const db = await made.open();
    await db.exec(`CREATE TABLE schema_migrations (name text PRIMARY KEY, checksum text NOT NULL);
      INSERT INTO schema_migrations VALUES ('0001_media.sql', 'old'), ('0002_thumbnails.sql', 'old')`);
    await db.close();
    await rename(made.folder, join(folder, "db"));
    assert.deepEqual(await start(), [
      "mxcdn: cannot use the embedded database in ./db: its schema is from development, before the first release; give mxcdn a new, empty database, or start the version that made this one",
    ]);
  });

  test("another process uses the embedded database", async (t) => {
    const made = await newFolder();
    await rename(made.folder, join(folder, "db"));
    const first = spawnCli(t, folder, ["--config", "c.yaml"], { main: true });
    await first.says(/the origin answers at/);
    assert.match(
      (await start()).join("\n"),
      /^mxcdn: cannot use the embedded database in \.\/db: process \d+ is using it; stop that one first, or name another folder$/,
    );
  });

  test("the port for Prometheus is taken, or its address is of another machine", async (t) => {
    const port = await busyPort(t);
    await writeFile(
      join(folder, "c.yaml"),
      `${CONFIG}metrics: {enabled: true, bindAddress: 127.0.0.1, port: ${port}}\n`,
    );
    assert.deepEqual(await start(), [
      `mxcdn: cannot listen on 127.0.0.1:${port}: the port is taken by another program; end that, or choose another with metrics.port`,
    ]);
    await writeFile(join(folder, "c.yaml"), `${CONFIG}metrics: {enabled: true, bindAddress: nowhere.invalid}\n`);
    assert.deepEqual(await start(), [
      "mxcdn: cannot listen on nowhere.invalid:9000: that is not an address of this machine; set `metrics.bindAddress` to one that is",
    ]);
  });

  test("the folder for uploads on their way to S3 is none", async () => {
    await writeFile(join(folder, "staging"), "");
    const store =
      "{id: s, type: s3, forKinds: [all], opts: {endpoint: s3.invalid, bucketName: b, tempPath: ./staging}}";
    await writeFile(join(folder, "c.yaml"), CONFIG.replace(/datastores:.*/, `datastores: [${store}]`));
    assert.match(
      (await start()).join("\n"),
      /^mxcdn: cannot write to the folder \.\/staging \(a file is in its way\); move/,
    );
  });

  test("the signing key is not there, or is a folder", async () => {
    const named = CONFIG.replace('9"}]', '9", signingKeyPath: ./key}]');
    await writeFile(join(folder, "c.yaml"), named);
    const begin = "mxcdn: c.yaml:1: homeservers[0].signingKeyPath names a key that cannot be used: ";
    assert.deepEqual(await start(), [`${begin}there is no such file; see that the name is right`]);
    await mkdir(join(folder, "key"));
    assert.deepEqual(await start(), [`${begin}it is a folder; name a file`]);
  });

  test("the configuration is a folder without files, is no text, or may not be read", async () => {
    await rm(join(folder, "c.yaml"));
    await mkdir(join(folder, "c.yaml"));
    assert.match(
      (await start()).join("\n"),
      /^mxcdn: c\.yaml: is a folder without files; put the configuration there$/,
    );
    await writeFile(join(folder, "c.yaml", "a.yaml"), Buffer.from([0x00, 0xff, 0xfe, 0x01]));
    assert.match((await start()).join("\n"), /^mxcdn: c\.yaml\/a\.yaml(:\d+)?: (?:is not valid YAML|must be)[^\n]*$/);
    await chmod(join(folder, "c.yaml", "a.yaml"), 0);
    // The superuser may read it all the same.
    if (process.getuid?.() !== 0) {
      assert.match((await start()).join("\n"), /^mxcdn: c\.yaml\/a\.yaml: cannot be read \(permission denied; let/);
    }
  });
});

test("whatever is thrown is said in words", () => {
  const file = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", path: "/data/x" });
  const cases: readonly (readonly [unknown, string])[] = [
    [{}, "cannot go on: an error without a name"],
    [{ name: "ErrnoError", errno: 51 }, "cannot go on: ErrnoError 51"],
    [undefined, "cannot go on: undefined"],
    [file, "cannot go on: /data/x: no space is left; make room there, or name another folder"],
    [new Error("a", { cause: { errno: 5 } }), "cannot go on: a: 5"],
    [new CommandError("what; cure"), "what; cure"],
    [
      new StartTrouble("origin_port", "h:1", Object.assign(new Error("x"), { code: "EADDRINUSE" })),
      "cannot listen on h:1: the port is taken by another program; end that, or choose another with --port",
    ],
    [
      new AggregateError([Object.assign(new Error(""), { code: "ECONNREFUSED" })]),
      "cannot go on: ECONNREFUSED (nothing listens there; see that it runs, and that host and port are right)",
    ],
  ];
  for (const [thrown, said] of cases) assert.deepEqual(describeError(thrown), [said]);
});
