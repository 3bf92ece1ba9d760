import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import type { Database } from "../../../origin/stores/db/database.ts";
import { claimBlob } from "../../../origin/stores/db/tables/blobs.ts";
import { recordAccess } from "../../../origin/stores/db/tables/last_access.ts";
import {
  deleteMedia,
  findMedia,
  insertMedia,
  setFrozen,
  setPurpose,
  setQuarantined,
} from "../../../origin/stores/db/tables/media.ts";
import { reserveMediaId } from "../../../origin/stores/db/tables/media_ids.ts";
import { findThumbnail } from "../../../origin/stores/db/tables/thumbnails.ts";
import { findUsage } from "../../../origin/stores/db/tables/usage.ts";
import { databaseKinds, openTestDatabase } from "../../support/database.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { doomedAt, mxc, NOW, newBlob, sha256, storeMedia, storeThumbnail } from "./rows.ts";

const USER = "@user:example.org";

for (const kind of databaseKinds()) {
  describe(`media on ${kind.name}`, { skip: kind.skip }, () => {
    const suite = lifetimeOfSuite();
    let db: Database;
    before(async () => {
      db = await openTestDatabase(suite, kind);
    });
    beforeEach(() => db.exec("TRUNCATE blobs, media, thumbnails, media_ids_used, pending_uploads, user_usage"));

    test("findMedia gives all that a download needs, in one go", async () => {
      const blob = await newBlob(db, "hello");
      const stored = await storeMedia(db, mxc("one"), "hello", {
        uploadName: "grüße 🐔.txt",
        contentType: "text/x;a=b",
      });
      assert.deepEqual(await findMedia(db, mxc("one")), stored);
      assert.deepEqual(stored, {
        serverName: "example.org",
        mediaId: "one",
        contentType: "text/x;a=b",
        uploadName: "grüße 🐔.txt",
        userId: USER,
        createdAt: NOW,
        generation: stored.generation,
        quarantinedAt: undefined,
        frozen: true,
        purpose: "none",
        blob: {
          sha256: sha256("hello"),
          size: 5,
          datastoreId: "disk",
          location: stored.blob.location,
          generation: stored.blob.generation,
        },
      });
      assert.ok(stored.blob.generation > blob.generation && stored.generation > stored.blob.generation);
    });

    test("findMedia knows ids byte by byte", async () => {
      await storeMedia(db, mxc("abC"), "x");
      assert.equal(await findMedia(db, mxc("abc")), undefined);
      assert.equal(await findMedia(db, { serverName: "EXAMPLE.org", mediaId: "abC" }), undefined);
    });

    test("insertMedia needs a body", async () => {
      const media = { ...mxc("none"), sha256: sha256("none"), contentType: "a/b", uploadName: undefined, userId: USER };
      await assert.rejects(
        db.transaction((tx) => insertMedia(tx, { ...media, createdAt: NOW, frozen: true })),
        { code: "23503" },
      );
    });

    test("insertMedia leaves a media of the same name as it is", async () => {
      const first = await storeMedia(db, mxc("taken"), "first");
      const second = await db.transaction(async (tx) => {
        await claimBlob(tx, sha256("first"));
        return await insertMedia(tx, { ...first, sha256: sha256("first"), contentType: "other/type" });
      });
      assert.equal(second, undefined);
      assert.deepEqual(await findMedia(db, mxc("taken")), first);
    });

    test("each change draws a larger generation", async () => {
      const stored = await storeMedia(db, mxc("one"), "x");
      const quarantined = await db.transaction((tx) => setQuarantined(tx, mxc("one"), NOW));
      const released = await db.transaction((tx) => setQuarantined(tx, mxc("one"), undefined));
      const thawed = await db.transaction((tx) => setFrozen(tx, mxc("one"), false));
      const pinned = await db.transaction((tx) => setPurpose(tx, mxc("one"), "pinned"));
      assert.equal(quarantined?.quarantinedAt, NOW);
      assert.equal(released?.quarantinedAt, undefined);
      assert.equal(thawed?.frozen, false);
      assert.equal(pinned?.purpose, "pinned");
      const generations = [stored, quarantined, released, thawed, pinned].map((media) => media?.generation ?? 0);
      assert.deepEqual(
        generations,
        [...new Set(generations)].sort((a, b) => a - b),
      );
    });

    test("changing what is not there is undefined", async () => {
      assert.equal(await db.transaction((tx) => setQuarantined(tx, mxc("none"), NOW)), undefined);
      assert.equal(await db.transaction((tx) => deleteMedia(tx, mxc("none"), NOW)), undefined);
    });

    test("the body and the user of a media cannot be changed", async () => {
      await storeMedia(db, mxc("one"), "x");
      await assert.rejects(db.query("UPDATE media SET user_id = '@other:example.org'"), /never change/);
      await db.query("UPDATE media SET user_id = user_id, content_type = 'a/b'");
    });

    test("deleteMedia takes the thumbnails along, dooms what nothing points at, and says what the edge must learn", async () => {
      const stored = await storeMedia(db, mxc("one"), "source");
      const thumbnail = await storeThumbnail(db, mxc("one"), "small");
      await storeMedia(db, mxc("two"), "kept");
      const deleted = await db.transaction((tx) => deleteMedia(tx, mxc("one"), NOW));
      assert.ok(deleted && thumbnail && deleted.generation > thumbnail.generation);
      assert.deepEqual(deleted, {
        generation: deleted.generation,
        sha256: stored.blob.sha256,
        userId: USER,
        thumbnails: ["32x32-crop"],
      });
      assert.equal(await findMedia(db, mxc("one")), undefined);
      assert.equal(await findThumbnail(db, mxc("one"), "32x32-crop"), undefined);
      assert.deepEqual([await doomedAt(db, "source"), await doomedAt(db, "small")], [NOW, NOW]);
      assert.equal(await doomedAt(db, "kept"), null);
    });

    test("of two media with one body, deleting one keeps the body; deleting both dooms it", async () => {
      await storeMedia(db, mxc("one"), "same");
      await storeMedia(db, mxc("two"), "same", { userId: "@other:example.org" });
      await db.transaction((tx) => deleteMedia(tx, mxc("one"), NOW));
      assert.equal(await doomedAt(db, "same"), null);
      assert.ok(await findMedia(db, mxc("two")));
      await db.transaction((tx) => deleteMedia(tx, mxc("two"), NOW + 5));
      assert.equal(await doomedAt(db, "same"), NOW + 5);
    });

    test("a body that is another media's thumbnail is kept", async () => {
      await storeMedia(db, mxc("one"), "icon");
      await storeMedia(db, mxc("two"), "big");
      await storeThumbnail(db, mxc("two"), "icon");
      await db.transaction((tx) => deleteMedia(tx, mxc("one"), NOW));
      assert.equal(await doomedAt(db, "icon"), null);
    });

    test("media of the same name that comes while its predecessor is deleted has the larger generation", async () => {
      for (let round = 0; round < 40; round += 1) {
        const name = { serverName: "remote.example", mediaId: `r${round}` };
        const fetched = { userId: undefined };
        await storeMedia(db, name, `old ${round}`, fetched);
        const [deleted, again] = await Promise.all([
          db.transaction((tx) => deleteMedia(tx, name, NOW)),
          storeMedia(db, name, `new ${round}`, fetched).catch(() => undefined),
        ]);
        assert.ok(deleted);
        const present = await findMedia(db, name);
        if (again) assert.ok(present && present.generation > deleted.generation, `round ${round}`);
      }
    });

    test("deletions, thumbnails and uploads that share bodies at once do not deadlock for good", async () => {
      for (let round = 0; round < 25; round += 1) {
        const [one, two] = [mxc(`one${round}`), mxc(`two${round}`)];
        await Promise.all([storeMedia(db, one, "shared"), storeMedia(db, two, "shared")]);
        await storeThumbnail(db, one, "shared small");
        await Promise.all([
          db.transaction((tx) => deleteMedia(tx, one, NOW)),
          storeThumbnail(db, two, "shared small"),
          storeThumbnail(db, one, "shared small"),
          storeMedia(db, mxc(`three${round}`), "shared"),
          storeMedia(db, mxc(`four${round}`), "shared small"),
          db.transaction((tx) => deleteMedia(tx, two, NOW)),
        ]);
        assert.equal(await doomedAt(db, "shared"), null);
      }
    });

    test("insertThumbnail of a media that is gone is undefined; of one that is there already gives that one", async () => {
      assert.equal(await storeThumbnail(db, mxc("gone"), "small"), undefined);
      await storeMedia(db, mxc("one"), "source");
      const first = await storeThumbnail(db, mxc("one"), "small");
      assert.deepEqual(await storeThumbnail(db, mxc("one"), "other bytes"), first);
      assert.deepEqual(await findThumbnail(db, mxc("one"), "32x32-crop"), first);
      assert.equal(first?.blob.sha256, sha256("small"));
      assert.equal(await doomedAt(db, "other bytes"), NOW);
    });

    test("an id is never reserved twice, not even after its media was deleted", async () => {
      assert.equal(await reserveMediaId(db, mxc("once"), NOW), true);
      await storeMedia(db, mxc("once"), "x");
      await db.transaction((tx) => deleteMedia(tx, mxc("once"), NOW));
      assert.equal(await reserveMediaId(db, mxc("once"), NOW), false);
      assert.equal(await reserveMediaId(db, { serverName: "other.org", mediaId: "once" }, NOW), true);
    });

    test("usage counts each media in full, whoever writes and deletes, also at once", async () => {
      const ids = Array.from({ length: 20 }, (_, n) => mxc(`u${n}`));
      await Promise.all(ids.map((id) => storeMedia(db, id, "twelve bytes")));
      await storeMedia(db, mxc("remote"), "not counted", { userId: undefined });
      assert.deepEqual(await findUsage(db, USER), { bytes: 240, files: 20 });
      await Promise.all(ids.slice(5).map((id) => db.transaction((tx) => deleteMedia(tx, id, NOW))));
      assert.deepEqual(await findUsage(db, USER), { bytes: 60, files: 5 });
      await db.query("DELETE FROM media");
      assert.deepEqual(await findUsage(db, USER), { bytes: 0, files: 0 });
      assert.deepEqual(await findUsage(db, "@nobody:example.org"), { bytes: 0, files: 0 });
    });

    test("usage of what is rolled back is not counted", async () => {
      await storeMedia(db, mxc("one"), "abc");
      await db
        .transaction(async (tx) => {
          await deleteMedia(tx, mxc("one"), NOW);
          throw new Error("no");
        })
        .catch(() => undefined);
      assert.deepEqual(await findUsage(db, USER), { bytes: 3, files: 1 });
    });

    test("recordAccess moves the day forward only, for many media in one statement, in any order at once", async () => {
      const ids = Array.from({ length: 50 }, (_, n) => mxc(`a${n}`));
      for (const id of ids) await storeMedia(db, id, "read");
      const day = Math.floor(NOW / 86_400_000);
      await Promise.all([recordAccess(db, ids, day + 2), recordAccess(db, ids.toReversed(), day + 1)]);
      await recordAccess(db, [...ids, mxc("nobody")], day);
      const { rows } = await db.query("SELECT last_access_day AS day, count(*) AS n FROM media GROUP BY 1");
      assert.deepEqual(rows, [{ day: day + 2, n: 50 }]);
    });
  });
}
