import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import type { Database } from "../../../origin/stores/db/database.ts";
import { doomIfUnreferenced, findBlob, insertBlob } from "../../../origin/stores/db/tables/blobs.ts";
import { deleteMedia, findMedia } from "../../../origin/stores/db/tables/media.ts";
import { dueRemovals } from "../../../origin/stores/db/tables/removals.ts";
import { deleteLostThumbnail, findThumbnail } from "../../../origin/stores/db/tables/thumbnails.ts";
import { databaseKinds, openTestDatabase } from "../../support/database.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { doomedAt, mxc, NOW, newBlob, sha256, storeMedia, storeThumbnail } from "./rows.ts";

const ALL = 1_000;

for (const kind of databaseKinds()) {
  describe(`bodies whose object is lost, on ${kind.name}`, { skip: kind.skip }, () => {
    const suite = lifetimeOfSuite();
    let db: Database;
    before(async () => {
      db = await openTestDatabase(suite, kind);
    });
    beforeEach(() => db.exec("TRUNCATE blobs, media, thumbnails, removals, user_usage"));

    test("findBlob is the row, or undefined", async () => {
      assert.equal(await findBlob(db, sha256("x")), undefined);
      const { blob } = await storeMedia(db, mxc("a"), "x");
      assert.deepEqual(await findBlob(db, sha256("x")), { ...blob, createdAt: NOW });
    });

    test("give way to one that is stored, for all that points at them, which is newer then", async () => {
      const before = [await storeMedia(db, mxc("a"), "x"), await storeMedia(db, mxc("b"), "x")];
      const thumbnail = await storeThumbnail(db, mxc("a"), "x");
      const toBeRemoved = await dueRemovals(db, NOW, ALL);
      const lost = await findBlob(db, sha256("x"));
      const mine = { ...(await newBlob(db, "x")), datastoreId: "another" };
      const { createdAt, ...place } = mine;
      assert.deepEqual(await db.transaction((tx) => insertBlob(tx, mine, lost)), mine);
      for (const media of before) {
        const after = await findMedia(db, media);
        assert.deepEqual(after?.blob, place);
        assert.ok((after?.generation ?? 0) > media.generation);
      }
      const after = await findThumbnail(db, mxc("a"), "32x32-crop");
      assert.deepEqual(after?.blob, place);
      assert.ok((after?.generation ?? 0) > (thumbnail?.generation ?? 0));
      assert.deepEqual(await dueRemovals(db, NOW, ALL), toBeRemoved);
    });

    test("give way once: of many who store them anew one wins, and the others' objects are to be removed", async () => {
      const media = await storeMedia(db, mxc("a"), "x");
      const lost = await findBlob(db, sha256("x"));
      const all = await Promise.all(Array.from({ length: 5 }, () => newBlob(db, "x")));
      const won = await Promise.all(all.map((mine) => db.transaction((tx) => insertBlob(tx, mine, lost))));
      const winner = (await findMedia(db, media))?.blob;
      assert.deepEqual(new Set(won.map(({ location }) => location)), new Set([winner?.location]));
      const removed = (await dueRemovals(db, NOW, ALL)).map(({ location }) => location);
      const losers = all.map(({ location }) => location).filter((location) => location !== winner?.location);
      assert.deepEqual(removed.sort(), losers.sort());
    });

    test("are stored anew also when they were about to be removed, or have been", async () => {
      const media = await storeMedia(db, mxc("a"), "x");
      const lost = await findBlob(db, sha256("x"));
      await db.transaction((tx) => deleteMedia(tx, media, NOW));
      await db.transaction((tx) => doomIfUnreferenced(tx, [sha256("x")], NOW));
      assert.notEqual(await doomedAt(db, "x"), null);
      const mine = await newBlob(db, "x");
      assert.deepEqual(await db.transaction((tx) => insertBlob(tx, mine, lost)), mine);
      assert.equal(await doomedAt(db, "x"), null);
      await db.query("DELETE FROM blobs");
      const again = await newBlob(db, "x");
      assert.deepEqual(await db.transaction((tx) => insertBlob(tx, again, mine)), again);
    });

    test("of a thumbnail: it is deleted, unless it was made anew or has its object again", async () => {
      await storeMedia(db, mxc("a"), "x");
      const lost = await storeThumbnail(db, mxc("a"), "small");
      assert.ok(lost);
      await deleteLostThumbnail(db, lost, NOW);
      assert.equal(await findThumbnail(db, mxc("a"), lost.suffix), undefined);
      assert.equal(await doomedAt(db, "small"), NOW);

      const anew = await storeThumbnail(db, mxc("a"), "small");
      await deleteLostThumbnail(db, lost, NOW);
      assert.deepEqual(await findThumbnail(db, mxc("a"), lost.suffix), anew);
      assert.equal(await doomedAt(db, "small"), null);
    });
  });
}
