import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { before, beforeEach, describe, test } from "node:test";
import { makeMarkDatastores, makeOwnedSince } from "../../../origin/jobs/datastore_marks.ts";
import type { Database } from "../../../origin/stores/db/database.ts";
import { enqueueRemoval } from "../../../origin/stores/db/tables/removals.ts";
import type { Datastore } from "../../../origin/stores/objects/datastore.ts";
import { databaseKinds, openTestDatabase } from "../../support/database.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import {
  addRow,
  complaintsLog,
  locationsIn,
  markAs,
  openFolder,
  putMany,
  putObject,
  sweeperOf,
} from "./sweep_stage.ts";

for (const kind of databaseKinds()) {
  describe(`sweeping orphans with ${kind.name}`, { skip: kind.skip }, () => {
    const suite = lifetimeOfSuite();
    let db: Database;
    let other: Database;
    before(async () => {
      db = await openTestDatabase(suite, kind);
      other = await openTestDatabase(suite, kind);
    });
    beforeEach(() => db.exec("TRUNCATE blobs, media, thumbnails, removals"));

    test("removes what no row names, once it is old, and nothing else", async (t) => {
      const place = await openFolder(t);
      await markAs(db, place);
      const { store } = place;
      const known = await putMany(30, () => putObject(db, store, { row: "files" }));
      const orphans = await putMany(2, () => putObject(db, store));
      const fresh = await putObject(db, store, { days: 0.5 });
      const { sweep, complaints } = sweeperOf(db, [store]);
      assert.equal(await sweep(), 2);
      assert.deepEqual(await locationsIn(store), [...known, fresh].sort());
      assert.equal(await sweep(), 0);
      assert.deepEqual(complaints, []);
      assert.equal(orphans.length, 2);
    });

    test("leaves alone what lay there before the database came", async (t) => {
      const place = await openFolder(t);
      const { store } = place;
      const before = await putMany(3, () => putObject(other, store, { days: 4 }));
      await markAs(db, place);
      const known = await putMany(60, () => putObject(db, store, { row: "files" }));
      const { sweep, complaints } = sweeperOf(db, [store]);
      assert.equal(await sweep(), 0);
      assert.deepEqual(await locationsIn(store), [...before, ...known].sort());
      assert.deepEqual(complaints, []);
    });

    test("touches nothing where another database keeps media too, and says what to do; both ways", async (t) => {
      const place = await openFolder(t);
      const { store, folder } = place;
      const theirMark = await markAs(other, place);
      const theirs = await putMany(3, () => putObject(other, store, { row: "files" }));
      await markAs(db, place);
      const known = await putMany(60, () => putObject(db, store, { row: "files" }));
      const orphan = await putObject(db, store);
      const everything = [...theirs, ...known, orphan].sort();
      for (const one of [db, other]) {
        const { sweep, complaints } = sweeperOf(one, [store]);
        assert.equal(await sweep(), 0);
        assert.deepEqual(await locationsIn(store), everything);
        assert.equal(complaints.length, 1);
        assert.match(complaints[0]?.message ?? "", /another database .* if it is gone for good, remove its mark/);
        if (one === db) assert.deepEqual(complaints[0]?.details.others, [theirMark]);
      }
      await rm(join(folder, theirMark));
      assert.equal(await sweeperOf(db, [store]).sweep(), 4);
      assert.deepEqual(await locationsIn(store), known.sort());
    });

    test("touches nothing where the database knows too little, however small the datastore", async (t) => {
      const place = await openFolder(t);
      await markAs(db, place);
      const { store } = place;
      for (let n = 0; n < 17; n += 1) await putObject(db, store, { row: "files" });
      for (let n = 0; n < 3; n += 1) await putObject(db, store);
      const { sweep, complaints } = sweeperOf(db, [store]);
      assert.equal(await sweep(), 0);
      assert.equal((await locationsIn(store)).length, 20);
      assert.match(complaints[0]?.message ?? "", /no row names much .* right database/);
      assert.deepEqual(complaints[0]?.details, { datastore: "files", seen: 20, orphans: 3 });
    });

    test("touches nothing where objects are of a time that the database has yet to see: it is an old copy", async (t) => {
      const place = await openFolder(t);
      await markAs(db, place);
      const { store } = place;
      for (let n = 0; n < 20; n += 1) await putObject(db, store, { row: "files" });
      await putObject(db, store, { ahead: 1_000 });
      const { sweep, complaints } = sweeperOf(db, [store]);
      assert.equal(await sweep(), 0);
      assert.equal((await locationsIn(store)).length, 21);
      assert.match(complaints[0]?.message ?? "", /this database has yet to name/);
    });

    test("keeps a body whatever id its datastore goes by, and what is to be removed anyway", async (t) => {
      const place = await openFolder(t);
      await markAs(db, place);
      const { store } = place;
      const known = await putMany(20, () => putObject(db, store, { row: "other" }));
      const listed = await putMany(20, () => putObject(db, store));
      for (const location of listed)
        await enqueueRemoval(db, { datastoreId: "files", location, createdAt: Date.now() });
      const { sweep, complaints } = sweeperOf(db, [store]);
      assert.equal(await sweep(), 0);
      assert.deepEqual(await locationsIn(store), [...known, ...listed].sort());
      assert.deepEqual(complaints, []);
    });

    test("asks again right before it removes: for the row, and for other databases", async (t) => {
      const place = await openFolder(t);
      await markAs(db, place);
      const { store } = place;
      await putMany(30, () => putObject(db, store, { row: "files" }));
      const orphans = await putMany(2, () => putObject(db, store));
      const { log } = complaintsLog();
      const owned = makeOwnedSince({ db, log });
      /** What one run removes, when something happens between its looking and its removing. */
      const removedAfter = async (meanwhile: () => Promise<unknown>) => {
        let asked = 0;
        const ownedSince = async (datastore: Datastore) => {
          asked += 1;
          if (asked === 2) await meanwhile();
          return await owned(datastore);
        };
        return await sweeperOf(db, [store], { ownedSince }).sweep();
      };
      assert.equal(await removedAfter(() => addRow(db, orphans[0] ?? "")), 1);
      assert.ok((await locationsIn(store)).includes(orphans[0] ?? ""));
      await putObject(db, store);
      assert.equal(await removedAfter(() => markAs(other, place)), 0);
      assert.equal((await locationsIn(store)).length, 32);
    });

    test("each datastore is marked once; one that cannot be marked is said once, and tried again", async (t) => {
      const { store } = await openFolder(t);
      let broken = true;
      const stubborn = {
        id: "stubborn",
        marks: () => store.marks(),
        async mark(id: string) {
          if (broken) throw new Error("read-only");
          await store.mark(id);
        },
      } as unknown as Datastore;
      const { log, complaints } = complaintsLog();
      const run = makeMarkDatastores({ log, ownedSince: makeOwnedSince({ db, log }), datastores: () => [stubborn] });
      const signal = new AbortController().signal;
      for (let times = 0; times < 3; times += 1) await run(signal);
      assert.equal(complaints.length, 1);
      broken = false;
      await run(signal);
      const marks = await store.marks();
      assert.equal(marks.length, 1);
      await run(signal);
      await makeOwnedSince({ db, log })(store);
      assert.deepEqual(await store.marks(), marks);
    });
  });
}
