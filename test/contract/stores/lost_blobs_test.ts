import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import type { Database } from "../../../origin/stores/db/database.ts";
import { findBlob, insertBlob, markBlobLost } from "../../../origin/stores/db/tables/blobs.ts";
import {
  deleteMedia,
  findMedia,
  forgetRemoteMedia,
  type Media,
  setQuarantined,
} from "../../../origin/stores/db/tables/media.ts";
import { dueRemovals } from "../../../origin/stores/db/tables/removals.ts";
import { findThumbnail, forgetThumbnail } from "../../../origin/stores/db/tables/thumbnails.ts";
import { databaseKinds, openTestDatabase } from "../../support/database.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { doomedAt, mxc, NOW, newBlob, sha256, storeMedia, storeThumbnail } from "./rows.ts";

const ALL = 1_000;
const HOUR_MS = 3_600_000;

for (const kind of databaseKinds()) {
  describe(`bodies whose object is lost, on ${kind.name}`, { skip: kind.skip }, () => {
    const suite = lifetimeOfSuite();
    let db: Database;
    before(async () => {
      db = await openTestDatabase(suite, kind);
    });
    beforeEach(() => db.exec("TRUNCATE blobs, media, thumbnails, intents, removals, user_usage"));

    test("findBlob is the row, or undefined", async () => {
      assert.equal(await findBlob(db, sha256("x")), undefined);
      const { blob } = await storeMedia(db, mxc("a"), "x");
      assert.deepEqual(await findBlob(db, sha256("x")), { ...blob, createdAt: NOW });
    });

    const lose = async (text: string) => {
      const lost = await findBlob(db, sha256(text));
      assert.ok(lost);
      await markBlobLost(db, lost, NOW);
      return lost;
    };
    const isLost = async (text: string) =>
      (await db.query("SELECT FROM blobs WHERE sha256 = $1 AND lost_at IS NOT NULL", [sha256(text)])).rows.length === 1;

    test("give way to one that is stored, for all that points at them, which is newer then", async () => {
      const before = [await storeMedia(db, mxc("a"), "x"), await storeMedia(db, mxc("b"), "x")];
      const thumbnail = await storeThumbnail(db, mxc("a"), "x");
      await db.query("DELETE FROM removals");
      const lost = await lose("x");
      const mine = await newBlob(db, "x");
      const { createdAt, ...place } = mine;
      assert.deepEqual(await db.transaction((tx) => insertBlob(tx, mine)), mine);
      assert.equal(await isLost("x"), false);
      for (const media of before) {
        const after = await findMedia(db, media);
        assert.deepEqual(after?.blob, place);
        assert.ok((after?.generation ?? 0) > media.generation);
      }
      const after = await findThumbnail(db, mxc("a"), "32x32-crop");
      assert.deepEqual(after?.blob, place);
      assert.ok((after?.generation ?? 0) > (thumbnail?.generation ?? 0));
      assert.deepEqual(await dueRemovals(db, NOW, ALL), [], "a download may still read there");
      const removed = await dueRemovals(db, NOW + HOUR_MS, ALL);
      assert.deepEqual(
        removed.map(({ location }) => location),
        [lost.location],
      );
    });

    test("are marked in the incarnation that was seen only", async () => {
      await storeMedia(db, mxc("a"), "x");
      const lost = await lose("x");
      const mine = await newBlob(db, "x");
      await db.transaction((tx) => insertBlob(tx, mine));
      await markBlobLost(db, lost, NOW);
      assert.equal(await isLost("x"), false);
    });

    test("give way once: of many who store them anew one wins, and the others' objects are to be removed", async () => {
      const media = await storeMedia(db, mxc("a"), "x");
      await lose("x");
      const all = await Promise.all(Array.from({ length: 5 }, () => newBlob(db, "x")));
      const won = await Promise.all(all.map((mine) => db.transaction((tx) => insertBlob(tx, mine))));
      const winner = (await findMedia(db, media))?.blob;
      assert.deepEqual(new Set(won.map((blob) => blob?.location)), new Set([winner?.location]));
      const removed = (await dueRemovals(db, NOW, ALL)).map(({ location }) => location);
      const losers = all.map(({ location }) => location).filter((location) => location !== winner?.location);
      assert.deepEqual(removed.sort(), losers.sort());
    });

    test("are stored anew also when they were about to be removed", async () => {
      const media = await storeMedia(db, mxc("a"), "x");
      await lose("x");
      await db.transaction((tx) => deleteMedia(tx, media, NOW));
      assert.notEqual(await doomedAt(db, "x"), null);
      const mine = await newBlob(db, "x");
      assert.deepEqual(await db.transaction((tx) => insertBlob(tx, mine)), mine);
      assert.equal(await doomedAt(db, "x"), null);
    });

    test("of a thumbnail: it is forgotten, unless it was made anew or has its object again", async () => {
      await storeMedia(db, mxc("a"), "x");
      const lost = await storeThumbnail(db, mxc("a"), "small");
      assert.ok(lost);
      const forget = () => db.transaction((tx) => forgetThumbnail(tx, lost, NOW));
      const told = await forget();
      assert.equal(told?.suffix, lost.suffix);
      assert.ok(told.generation > lost.generation);
      assert.equal(await findThumbnail(db, mxc("a"), lost.suffix), undefined);
      assert.equal(await doomedAt(db, "small"), NOW);

      const anew = await storeThumbnail(db, mxc("a"), "small");
      assert.equal(await isLost("small"), false);
      assert.equal(await forget(), undefined);
      assert.deepEqual(await findThumbnail(db, mxc("a"), lost.suffix), anew);
      assert.equal(await doomedAt(db, "small"), null);
    });

    test("of another server's media: it is forgotten with its thumbnails, unless it has its object again, is ours or quarantined", async () => {
      const remote = { userId: undefined };
      const lost = await storeMedia(db, mxc("a"), "x", remote);
      await storeThumbnail(db, mxc("a"), "small");
      const forget = (media: Media) => db.transaction((tx) => forgetRemoteMedia(tx, media, NOW));
      const told = await forget(lost);
      assert.deepEqual(told?.thumbnails, ["32x32-crop"]);
      assert.ok(told.generation > lost.generation);
      assert.equal(await findMedia(db, mxc("a")), undefined);
      assert.equal(await isLost("x"), true);
      assert.equal(await doomedAt(db, "small"), NOW);
      assert.equal(await forget(lost), undefined);

      const mine = await newBlob(db, "x");
      await db.transaction((tx) => insertBlob(tx, mine));
      const again = await storeMedia(db, mxc("a"), "x", remote);
      assert.deepEqual(again.blob.location, mine.location);
      assert.equal(await forget(lost), undefined, "it has its object again");
      assert.deepEqual(await findMedia(db, mxc("a")), again);
      await db.transaction((tx) => setQuarantined(tx, mxc("a"), NOW));
      assert.equal(await forget(again), undefined);
      const ours = await storeMedia(db, mxc("b"), "y");
      assert.equal(await forget(ours), undefined);
      assert.ok(await findMedia(db, mxc("b")));
    });
  });
}
