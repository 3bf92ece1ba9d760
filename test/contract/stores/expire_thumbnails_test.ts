import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import { makeExpireThumbnails } from "../../../origin/jobs/expire_thumbnails.ts";
import type { Database } from "../../../origin/stores/db/database.ts";
import { countUndelivered, dueOutbox } from "../../../origin/stores/db/tables/outbox.ts";
import { databaseKinds, openTestDatabase } from "../../support/database.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { doomedAt, NOW, sha256 } from "./rows.ts";

const COUNT = 1_000;
const DAY_MS = 86_400_000;

/** The database, with the sizes of the transactions that delete thumbnails. */
function counted(db: Database): { db: Database; pages: number[] } {
  const pages: number[] = [];
  const count = async () =>
    (await db.query<{ n: number }>("SELECT count(*) AS n FROM thumbnails")).rows[0]?.n ?? Number.NaN;
  const counting = {
    query: db.query.bind(db),
    async transaction<T>(fn: Parameters<Database["transaction"]>[0]): Promise<T> {
      const before = await count();
      const value = await db.transaction(fn);
      pages.push(before - (await count()));
      return value as T;
    },
  };
  return { db: counting as unknown as Database, pages };
}

for (const kind of databaseKinds()) {
  describe(`expiring thumbnails with ${kind.name}`, { skip: kind.skip }, () => {
    const suite = lifetimeOfSuite();
    let db: Database;
    before(async () => {
      db = await openTestDatabase(suite, kind);
    });
    beforeEach(async () => {
      await db.exec("TRUNCATE blobs, media, thumbnails, removals, edge_outbox");
      for (const text of ["media", "thumbnail"])
        await db.query("INSERT INTO blobs VALUES ($1, 1, 'files', $2, nextval('generations'), 1, NULL)", [
          sha256(text),
          text,
        ]);
      // Very many media with one and the same thumbnail, such as that of a custom emoji.
      await db.query(
        `INSERT INTO media SELECT 'example.org', 'm' || n, $1, 'image/png', NULL, NULL, 1, 1, NULL, true, 'none', 1
         FROM generate_series(1, $2::int) n`,
        [sha256("media"), COUNT],
      );
      await db.query(
        `INSERT INTO thumbnails
         SELECT 'example.org', 'm' || n, 's', 1, 1, 'crop', false, 'auto', $1, 'image/png', 1, n
         FROM generate_series(1, $2::int) n`,
        [sha256("thumbnail"), COUNT],
      );
    });

    const expire = (over: Database, nowMs: number, hasEdge = true) =>
      makeExpireThumbnails({ db: over, clock: () => nowMs, days: () => 1, hasEdge })(new AbortController().signal);

    test("a page is a page, however many share a body; then the body goes, and the edge is told of each", async () => {
      const { db: watched, pages } = counted(db);
      assert.equal(await expire(watched, NOW), COUNT);
      assert.deepEqual(pages, [200, 200, 200, 200, 200, 0]);
      assert.equal(await doomedAt(db, "thumbnail"), NOW);
      assert.equal(await doomedAt(db, "media"), null);
      assert.equal(await countUndelivered(db), COUNT);
      const [first] = await dueOutbox(db, NOW, 1);
      assert.equal(first?.key, "d/example.org/m1/t/s");
      assert.deepEqual(first?.document, { v: 1, gen: first?.generation, gone: true, at: NOW });
    });

    test("what is younger stays, and keeps the body", async () => {
      assert.equal(await expire(db, 300 + DAY_MS, false), 299);
      assert.equal(await doomedAt(db, "thumbnail"), null);
      assert.equal(await countUndelivered(db), 0);
    });

    test("two at once delete each thumbnail once, and neither stops early", async () => {
      const gone = await Promise.all([expire(db, NOW), expire(db, NOW)]);
      assert.equal((gone[0] ?? 0) + (gone[1] ?? 0), COUNT);
      assert.equal(await countUndelivered(db), COUNT);
    });
  });
}
