import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { migrate } from "../../../origin/stores/db/migrate.ts";
import { databaseKinds, MIGRATIONS, openTestDatabase } from "../../support/database.ts";

async function folderOf(t: TestContext, files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-migrations-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const [name, script] of Object.entries(files)) await writeFile(join(folder, name), script);
  return folder;
}

const ONE = { "0001_one.sql": "CREATE TABLE one (id int)" };
const TWO = { ...ONE, "0002_two.sql": "CREATE TABLE two (id int);\nINSERT INTO two VALUES (1)" };

for (const kind of databaseKinds()) {
  describe(`migrate on ${kind.name}`, { skip: kind.skip }, () => {
    test("applies this repository's own migrations once", async (t) => {
      const db = await openTestDatabase(t, kind, { empty: true });
      const applied = await migrate(db, MIGRATIONS);
      assert.deepEqual(applied, ["0001_schema.sql"]);
      assert.deepEqual(await migrate(db, MIGRATIONS), []);
    });

    test("applies what is new, in order, and says so", async (t) => {
      const db = await openTestDatabase(t, kind, { empty: true });
      assert.deepEqual(await migrate(db, await folderOf(t, ONE)), ["0001_one.sql"]);
      assert.deepEqual(await migrate(db, await folderOf(t, TWO)), ["0002_two.sql"]);
      assert.deepEqual((await db.query("SELECT id FROM two")).rows, [{ id: 1 }]);
    });

    test("of processes that start at once each file is applied by one", async (t) => {
      const db = await openTestDatabase(t, kind, { empty: true });
      const slow = { "0001_slow.sql": "SELECT pg_sleep(0.1); CREATE TABLE one (id int)", "0002_b.sql": "SELECT 1" };
      const folder = await folderOf(t, slow);
      const applied = await Promise.all([migrate(db, folder), migrate(db, folder), migrate(db, folder)]);
      assert.deepEqual(applied.flat().sort(), ["0001_slow.sql", "0002_b.sql"]);
    });

    test("a file that fails leaves nothing behind and is named", async (t) => {
      const db = await openTestDatabase(t, kind, { empty: true });
      const folder = await folderOf(t, { ...ONE, "0002_bad.sql": "CREATE TABLE bad (id int); SELECT nonsense" });
      await assert.rejects(migrate(db, folder), /Cannot apply 0002_bad\.sql: .*nonsense/);
      const { rows } = await db.query("SELECT to_regclass('one') IS NULL AS one, to_regclass('bad') IS NULL AS bad");
      assert.deepEqual(rows, [{ one: false, bad: true }]);
      assert.deepEqual(await migrate(db, await folderOf(t, TWO)), ["0002_two.sql"]);
    });

    test("a unique violation inside a file is an error, not a race that was lost", async (t) => {
      const db = await openTestDatabase(t, kind, { empty: true });
      const script = "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1), (1)";
      await assert.rejects(migrate(db, await folderOf(t, { "0001_twice.sql": script })), /Cannot apply 0001_twice/);
    });

    test("refuses an edited file, but not other line endings", async (t) => {
      const db = await openTestDatabase(t, kind, { empty: true });
      await migrate(db, await folderOf(t, TWO));
      const crlf = { ...TWO, "0002_two.sql": TWO["0002_two.sql"].replaceAll("\n", "\r\n") };
      assert.deepEqual(await migrate(db, await folderOf(t, crlf)), []);
      const edited = await folderOf(t, { ...TWO, "0001_one.sql": "CREATE TABLE one (id bigint)" });
      await assert.rejects(migrate(db, edited), /0001_one\.sql was edited/);
    });

    test("refuses a database that a newer version has migrated", async (t) => {
      const db = await openTestDatabase(t, kind, { empty: true });
      await migrate(db, await folderOf(t, TWO));
      await assert.rejects(
        migrate(db, await folderOf(t, ONE)),
        /it has 0002_two\.sql, which this version does not know/,
      );
    });

    test("refuses a schema from before the first release", async (t) => {
      const db = await openTestDatabase(t, kind, { empty: true });
      await migrate(db, await folderOf(t, { "0001_media.sql": "SELECT 1", "0002_thumbnails.sql": "SELECT 1" }));
      await assert.rejects(migrate(db, MIGRATIONS), /from development, before the first release/);
    });

    test("refuses a new file before an applied one, and file names out of order", async (t) => {
      const db = await openTestDatabase(t, kind, { empty: true });
      await migrate(db, await folderOf(t, { "0002_two.sql": "SELECT 1" }));
      await assert.rejects(
        migrate(db, await folderOf(t, { ...ONE, "0002_two.sql": "SELECT 1" })),
        /0002_two\.sql was applied before one that precedes it/,
      );
      await assert.rejects(migrate(db, await folderOf(t, { "1_x.sql": "" })), /not named NNNN_name\.sql/);
      await assert.rejects(migrate(db, await folderOf(t, { "0001_a.sql": "", "0001_b.sql": "" })), /same number/);
    });
  });
}
