import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import type { Database } from "../../../origin/stores/db/database.ts";
import { reserveMediaId } from "../../../origin/stores/db/tables/media_ids.ts";
import {
  completePendingUpload,
  countPendingUploads,
  expirePendingUploads,
  findPendingUpload,
  insertPendingUpload,
} from "../../../origin/stores/db/tables/pending_uploads.ts";
import { databaseKinds, openTestDatabase } from "../../support/database.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { mxc, NOW } from "./rows.ts";

const USER = "@user:example.org";
const HOUR = 3_600_000;

for (const kind of databaseKinds()) {
  describe(`pending uploads on ${kind.name}`, { skip: kind.skip }, () => {
    const suite = lifetimeOfSuite();
    let db: Database;
    before(async () => {
      db = await openTestDatabase(suite, kind);
    });
    beforeEach(() => db.exec("TRUNCATE pending_uploads, media_ids_used"));

    async function create(mediaId: string, expiresAt = NOW + HOUR) {
      const pending = { ...mxc(mediaId), userId: USER, createdAt: NOW, expiresAt };
      await db.transaction(async (tx) => {
        await reserveMediaId(tx, pending, NOW);
        await insertPendingUpload(tx, pending);
      });
      return pending;
    }

    test("what is inserted is found, and gone once it is complete", async () => {
      const pending = await create("one");
      assert.deepEqual(await findPendingUpload(db, mxc("one")), pending);
      assert.deepEqual(await completePendingUpload(db, mxc("one"), NOW), pending);
      assert.equal(await findPendingUpload(db, mxc("one")), undefined);
    });

    test("an id that was not reserved cannot wait", async () => {
      const pending = { ...mxc("wild"), userId: USER, createdAt: NOW, expiresAt: NOW + HOUR };
      await assert.rejects(insertPendingUpload(db, pending), { code: "23503" });
    });

    test("of many uploads at once exactly one completes it", async () => {
      await create("raced");
      const turns = await Promise.all(
        Array.from({ length: 10 }, () => db.transaction((tx) => completePendingUpload(tx, mxc("raced"), NOW))),
      );
      assert.equal(turns.filter((turn) => turn !== undefined).length, 1);
    });

    test("a turn whose transaction fails is given back", async () => {
      await create("again");
      await db
        .transaction(async (tx) => {
          await completePendingUpload(tx, mxc("again"), NOW);
          throw new Error("the disk is full");
        })
        .catch(() => undefined);
      assert.ok(await completePendingUpload(db, mxc("again"), NOW));
    });

    test("what has expired cannot be completed and is not counted, but can still be told from what never was", async () => {
      await create("old", NOW + 5);
      await create("new", NOW + HOUR);
      assert.deepEqual(await countPendingUploads(db, USER, NOW), { count: 2, firstExpiresAt: NOW + 5 });
      assert.deepEqual(await countPendingUploads(db, USER, NOW + 5), { count: 1, firstExpiresAt: NOW + HOUR });
      assert.deepEqual(await countPendingUploads(db, "@other:example.org", NOW), {
        count: 0,
        firstExpiresAt: undefined,
      });
      assert.equal(await completePendingUpload(db, mxc("old"), NOW + 5), undefined);
      assert.equal((await findPendingUpload(db, mxc("old")))?.expiresAt, NOW + 5);
      assert.equal(await expirePendingUploads(db, NOW + 6), 1);
      assert.equal(await findPendingUpload(db, mxc("old")), undefined);
    });
  });
}
