import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { openPglite } from "../../../origin/stores/db/pglite.ts";
import { newFolder } from "../../support/database.ts";

type Child = ChildProcessByStdio<null, Readable, Readable>;

const CHILD = fileURLToPath(new URL("pglite_child.ts", import.meta.url));

function start(t: TestContext, folder: string, from = 0): Child {
  const child = spawn(process.execPath, [CHILD, folder, String(from)], { stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => void child.kill("SIGKILL"));
  return child;
}

/** Kills the child once it has said `lines` numbers; gives the last number it said. */
async function killAfter(child: Child, lines: number): Promise<number> {
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    if (said.split("\n").length > lines) child.kill("SIGKILL");
  });
  await once(child, "close");
  return Number(said.trim().split("\n").at(-1) ?? Number.NaN);
}

async function testFolder(t: TestContext): Promise<string> {
  const { folder, drop } = await newFolder();
  t.after(drop);
  return folder;
}

describe("openPglite", () => {
  test("after kill -9 everything that was acknowledged is there, and the folder can be opened again", async (t) => {
    const folder = await testFolder(t);
    let last = -1;
    for (const lines of [1, 40, 150]) {
      last = await killAfter(start(t, folder, last + 2), lines);
      const db = await openPglite(folder);
      const { rows } = await db.query<{ n: number; complete: boolean }>(
        `SELECT max(n)::int AS n, (SELECT count(*) FROM bodies) = count(*) AS complete FROM acknowledged`,
      );
      await db.close();
      assert.ok((rows[0]?.n ?? -1) >= last, `acknowledged ${last}, found ${rows[0]?.n}`);
      assert.equal(rows[0]?.complete, true);
    }
  });

  test("a second process is refused while the first lives, and told which one it is; after kill -9 it is let in", async (t) => {
    const folder = await testFolder(t);
    const first = start(t, folder);
    await once(first.stdout, "data");
    const second = start(t, folder);
    const said: string[] = [];
    second.stderr.setEncoding("utf8").on("data", (text: string) => said.push(text));
    const [code] = await once(second, "close");
    assert.equal(code, 3);
    assert.equal(
      said.join(""),
      `Cannot open the database in ${folder}: process ${first.pid} is using it; stop that one first`,
    );
    first.kill("SIGKILL");
    await once(first, "close");
    await (await openPglite(folder)).close();
  });

  test("the same process cannot open a folder twice, but again after it was closed", async (t) => {
    const folder = await testFolder(t);
    const db = await openPglite(folder);
    await assert.rejects(openPglite(folder), /is using it/);
    assert.deepEqual((await db.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
    await db.close();
    await (await openPglite(folder)).close();
  });

  test("what a killed process left of its ids says nothing: it is the system that keeps the lock", async (t) => {
    const folder = await testFolder(t);
    await writeFile(join(folder, "owner"), `${process.pid}\n`);
    await writeFile(join(folder, "lock"), "");
    await (await openPglite(folder)).close();
  });

  test("a database whose making was cut short is made anew", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "mxcdn-test-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await mkdir(join(folder, "pgdata.new"));
    await writeFile(join(folder, "pgdata.new", "PG_VERSION"), "18\n");
    const db = await openPglite(folder);
    assert.deepEqual((await db.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
    await db.close();
  });

  test("a folder that cannot be made is an error that names it", async (t) => {
    const folder = await testFolder(t);
    await writeFile(join(folder, "file"), "");
    await assert.rejects(openPglite(join(folder, "file", "db")), /file\/db/);
  });
});
