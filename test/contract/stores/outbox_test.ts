import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import type { Database } from "../../../origin/stores/db/database.ts";
import {
  countUndelivered,
  dueOutbox,
  enqueueOutbox,
  expiredTombstones,
  forgetOutbox,
  markDelivered,
  postponeOutbox,
  undeliveredByKey,
} from "../../../origin/stores/db/tables/outbox.ts";
import { databaseKinds, openTestDatabase } from "../../support/database.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { NOW } from "./rows.ts";

const ALL = 100;

for (const kind of databaseKinds()) {
  describe(`outbox on ${kind.name}`, { skip: kind.skip }, () => {
    const suite = lifetimeOfSuite();
    let db: Database;
    before(async () => {
      db = await openTestDatabase(suite, kind);
    });
    beforeEach(() => db.exec("TRUNCATE edge_outbox"));

    const live = (gen: number) => ({ v: 1, gen, type: "text/plain" });
    const tombstone = (gen: number) => ({ v: 1, gen, gone: true, at: NOW });
    const note = (key: string, document: { gen: number }, createdAt = NOW) =>
      enqueueOutbox(db, { key, generation: document.gen, document, createdAt });

    test("a change is noted with the transaction that makes it, or not at all", async () => {
      await db
        .transaction(async (tx) => {
          await enqueueOutbox(tx, { key: "d/a/b", generation: 1, document: live(1), createdAt: NOW });
          throw new Error("undone");
        })
        .catch(() => undefined);
      assert.equal(await countUndelivered(db), 0);
    });

    test("documents come back as they went in, per key in the order of generations", async () => {
      await note("d/a/b", tombstone(7));
      await note("d/a/b", live(5));
      await note("d/a/c", live(6));
      const entries = await undeliveredByKey(db, "d/a/b");
      assert.deepEqual(
        entries.map((entry) => [entry.generation, entry.document]),
        [
          [5, live(5)],
          [7, tombstone(7)],
        ],
      );
      assert.equal(await countUndelivered(db), 3);
    });

    test("what is delivered is forgotten, but for tombstones, which stay until their time is over", async () => {
      await note("d/a/b", live(5));
      await note("d/a/b", tombstone(7));
      for (const entry of await undeliveredByKey(db, "d/a/b")) await markDelivered(db, entry.id, NOW, NOW + 10);
      assert.equal(await countUndelivered(db), 0);
      assert.deepEqual(await expiredTombstones(db, NOW + 9, ALL), []);
      const [old, ...others] = await expiredTombstones(db, NOW + 10, ALL);
      assert.deepEqual([old?.key, old?.generation, others], ["d/a/b", 7, []]);
      await postponeOutbox(db, old?.id ?? 0, NOW + 20);
      assert.deepEqual(await expiredTombstones(db, NOW + 19, ALL), []);
      assert.equal(await countUndelivered(db), 0);
      await forgetOutbox(db, old?.id ?? 0);
      assert.deepEqual((await db.query("SELECT id FROM edge_outbox")).rows, []);
    });

    test("what is due comes oldest first, and one that fails does not keep the others waiting", async () => {
      await note("second", live(2), NOW + 2);
      await note("first", live(1), NOW + 1);
      await note("third", live(3), NOW + 3);
      const keys = async (before: number) => (await dueOutbox(db, before, 2)).map((entry) => entry.key);
      assert.deepEqual(await keys(NOW), []);
      assert.deepEqual(await keys(NOW + 9), ["first", "second"]);
      const [first] = await dueOutbox(db, NOW + 9, 1);
      await postponeOutbox(db, first?.id ?? 0, NOW + 20);
      assert.deepEqual(await keys(NOW + 9), ["second", "third"]);
      assert.equal((await undeliveredByKey(db, "first"))[0]?.attempts, 1);
    });

    test("what comes in masses is due after all others, however old it is", async () => {
      const masses = Array.from({ length: 500 }, (_, n) => ({
        ...{ key: `many/${n}`, generation: n, document: tombstone(n), createdAt: NOW, bulk: true },
      }));
      await enqueueOutbox(db, ...masses);
      await note("one", tombstone(1_000), NOW + 5);
      const due = await dueOutbox(db, NOW + 9, 3);
      assert.deepEqual(
        due.map((entry) => entry.key),
        ["one", "many/0", "many/1"],
      );
      assert.equal(await countUndelivered(db), 501);
      await enqueueOutbox(db);
      assert.equal(await countUndelivered(db), 501);
    });
  });
}
