import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import type { Database } from "../../../origin/stores/db/database.ts";
import {
  bytesByDatastore,
  claimBlob,
  claimStoredBlob,
  doomIfUnreferenced,
  insertBlob,
  markBlobLost,
  reapDoomed,
  unknownBodies,
} from "../../../origin/stores/db/tables/blobs.ts";
import { nextGeneration } from "../../../origin/stores/db/tables/generations.ts";
import { expireIntents, findBlobOrIntend } from "../../../origin/stores/db/tables/intents.ts";
import { deleteMedia, findMedia, insertMedia } from "../../../origin/stores/db/tables/media.ts";
import {
  dueRemovals,
  enqueueRemoval,
  forgetRemoval,
  postponeRemoval,
} from "../../../origin/stores/db/tables/removals.ts";
import { databaseKinds, openTestDatabase } from "../../support/database.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { doomedAt, mxc, NOW, newBlob, sha256, storeMedia } from "./rows.ts";

const LATER = NOW + 1_000;
const ALL = 1_000;

for (const kind of databaseKinds()) {
  describe(`blobs on ${kind.name}`, { skip: kind.skip }, () => {
    const suite = lifetimeOfSuite();
    let db: Database;
    before(async () => {
      db = await openTestDatabase(suite, kind);
    });
    beforeEach(() => db.exec("TRUNCATE blobs, media, thumbnails, intents, removals, user_usage"));

    const isThere = async (text: string) => (await doomedAt(db, text)) !== undefined;

    test("nextGeneration is larger each time, whoever draws", async () => {
      const drawn = await Promise.all(Array.from({ length: 50 }, () => nextGeneration(db)));
      assert.equal(new Set(drawn).size, 50);
      assert.ok((await nextGeneration(db)) > Math.max(...drawn));
    });

    test("claimBlob of what is not there is undefined", async () => {
      assert.equal(await db.transaction((tx) => claimBlob(tx, sha256("new"))), undefined);
    });

    test("insertBlob: the first row wins, and the loser's object is to be removed", async () => {
      const [mine, theirs] = [await newBlob(db, "same"), await newBlob(db, "same")];
      assert.deepEqual(await db.transaction((tx) => insertBlob(tx, mine)), mine);
      assert.deepEqual(await db.transaction((tx) => insertBlob(tx, theirs)), mine);
      const removals = await dueRemovals(db, NOW, ALL);
      assert.deepEqual(
        removals.map(({ location, sha256 }) => ({ location, sha256 })),
        [{ location: theirs.location, sha256: undefined }],
      );
    });

    test("insertBlob takes the intent away, and without one records nothing", async () => {
      const mine = await newBlob(db, "twice");
      assert.deepEqual(await db.transaction((tx) => insertBlob(tx, mine)), mine);
      assert.equal(await db.transaction((tx) => insertBlob(tx, mine)), undefined);
      assert.equal(await isThere("twice"), true);
      const late = await newBlob(db, "late");
      assert.equal(await expireIntents(db, NOW + 1, NOW, ALL), 1);
      assert.equal(await db.transaction((tx) => insertBlob(tx, late)), undefined);
      assert.equal(await isThere("late"), false);
      assert.deepEqual(
        (await dueRemovals(db, NOW, ALL)).map(({ location }) => location),
        [late.location],
      );
    });

    test("findBlobOrIntend: the body, or where it is to be put; of a lost one always the latter", async () => {
      const place = { sha256: sha256("x"), datastoreId: "disk", stem: sha256("x"), now: NOW };
      const [first, second] = [await findBlobOrIntend(db, place), await findBlobOrIntend(db, place)];
      assert.ok("intent" in first && "intent" in second);
      assert.equal(first.intent.location, `${sha256("x")}-${first.intent.generation}`);
      assert.ok(second.intent.generation > first.intent.generation);
      const mine = { ...first.intent, sha256: sha256("x"), size: 1, createdAt: NOW };
      await db.transaction((tx) => insertBlob(tx, mine));
      assert.deepEqual(await findBlobOrIntend(db, place), { blob: mine });
      await markBlobLost(db, mine, NOW);
      assert.ok("intent" in (await findBlobOrIntend(db, place)));
      assert.equal(await db.transaction((tx) => claimStoredBlob(tx, sha256("x"))), undefined);
    });

    test("an intent becomes a removal when it is old, never while its body is recorded, and once", async () => {
      const [, recorded] = [await newBlob(db, "never"), await newBlob(db, "recorded")];
      assert.equal(await expireIntents(db, NOW, LATER, ALL), 0);
      const [moved] = await Promise.all([
        Promise.all([expireIntents(db, NOW + 1, LATER, ALL), expireIntents(db, NOW + 1, LATER, ALL)]),
        db.transaction((tx) => insertBlob(tx, recorded)),
      ]);
      const removed = (await dueRemovals(db, LATER, ALL)).map(({ location }) => location);
      assert.equal(removed.length, new Set(removed).size);
      assert.equal(removed.includes(recorded.location), !(await isThere("recorded")));
      assert.equal(moved[0] + moved[1], removed.length);
      const { rows } = await db.query("SELECT FROM intents");
      assert.equal(rows.length, 0);
    });

    test("an intent is not waited for until it is on the disk", async (t) => {
      if (kind.name === "pglite") return t.skip("one session: nothing else writes");
      const notFlushed = "SELECT pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn() AS ahead";
      for (let attempt = 0; attempt < 50; attempt += 1) {
        await findBlobOrIntend(db, { sha256: sha256(`${attempt}`), datastoreId: "d", stem: `${attempt}`, now: NOW });
        if ((await db.query<{ ahead: boolean }>(notFlushed)).rows[0]?.ahead) return;
      }
      assert.fail("each was flushed");
    });

    test("two uploads of the same new bytes at once, many times: one body, two media, one object to remove", async () => {
      for (let round = 0; round < 20; round += 1) {
        const text = `race ${round}`;
        await Promise.all([
          storeMedia(db, mxc(`a${round}`), text),
          storeMedia(db, mxc(`b${round}`), text),
          storeMedia(db, mxc(`c${round}`), text),
        ]);
        const media = await Promise.all(["a", "b", "c"].map((name) => findMedia(db, mxc(`${name}${round}`))));
        assert.equal(new Set(media.map((one) => one?.blob.location)).size, 1);
      }
      const { rows } = await db.query("SELECT count(*) AS n FROM blobs");
      assert.deepEqual(rows, [{ n: 20 }]);
      const kept = new Set((await db.query<{ location: string }>("SELECT location FROM blobs")).rows.map(locationOf));
      for (const removal of await dueRemovals(db, NOW, ALL)) assert.ok(!kept.has(removal.location));
    });

    test("a body that is referred to cannot be deleted, whoever tries", async () => {
      await storeMedia(db, mxc("held"), "held");
      await assert.rejects(db.query("DELETE FROM blobs"), { code: "23503" });
      assert.equal(await db.transaction((tx) => doomIfUnreferenced(tx, [sha256("held")], NOW)), false);
    });

    test("reapDoomed takes what was doomed before the given time, and lists its object with its name at the edge", async () => {
      const media = await storeMedia(db, mxc("gone"), "gone");
      await db.transaction((tx) => deleteMedia(tx, mxc("gone"), NOW));
      assert.equal(await doomedAt(db, "gone"), NOW);
      assert.equal(await reapDoomed(db, NOW, LATER, ALL), 0);
      assert.equal(await reapDoomed(db, NOW + 1, LATER, ALL), 1);
      assert.equal(await isThere("gone"), false);
      const [removal] = await dueRemovals(db, LATER, ALL);
      assert.deepEqual(
        { ...removal, id: 0 },
        {
          id: 0,
          datastoreId: "disk",
          location: media.blob.location,
          sha256: sha256("gone"),
          generation: media.blob.generation,
          attempts: 0,
        },
      );
    });

    test("reapDoomed takes no more than it is told to", async () => {
      for (const n of [1, 2, 3]) {
        await storeMedia(db, mxc(`m${n}`), `text ${n}`);
        await db.transaction((tx) => deleteMedia(tx, mxc(`m${n}`), NOW));
      }
      assert.equal(await reapDoomed(db, LATER, LATER, 2), 2);
      assert.equal(await reapDoomed(db, LATER, LATER, 2), 1);
    });

    test("reapDoomed heals a doomed body that something points at after all", async () => {
      await storeMedia(db, mxc("odd"), "odd");
      await db.query("UPDATE blobs SET doomed_at = $1", [NOW]);
      assert.equal(await reapDoomed(db, LATER, LATER, ALL), 1);
      assert.equal(await doomedAt(db, "odd"), null);
      assert.deepEqual(await dueRemovals(db, LATER, ALL), []);
    });

    test("an upload of doomed bytes keeps the body and its object", async () => {
      const first = await storeMedia(db, mxc("first"), "again");
      await db.transaction((tx) => deleteMedia(tx, mxc("first"), NOW));
      const second = await storeMedia(db, mxc("second"), "again");
      assert.equal(second.blob.location, first.blob.location);
      assert.equal(await doomedAt(db, "again"), null);
      assert.equal(await reapDoomed(db, LATER, LATER, ALL), 0);
    });

    test("an upload of bytes that were reaped stores a new incarnation, which the old removal cannot touch", async () => {
      const first = await storeMedia(db, mxc("first"), "again");
      await db.transaction((tx) => deleteMedia(tx, mxc("first"), NOW));
      await reapDoomed(db, LATER, LATER, ALL);
      const second = await storeMedia(db, mxc("second"), "again");
      assert.notEqual(second.blob.location, first.blob.location);
      const removals = await dueRemovals(db, LATER, ALL);
      assert.deepEqual(
        removals.map((removal) => removal.location),
        [first.blob.location],
      );
    });

    test("uploads, deletions and reaping of the same bytes at once: never a media without its body, no body left over", async () => {
      for (let round = 0; round < 60; round += 1) {
        const text = `bytes ${round}`;
        await storeMedia(db, mxc(`old${round}`), text);
        await Promise.all([
          db.transaction((tx) => deleteMedia(tx, mxc(`old${round}`), NOW)),
          storeMedia(db, mxc(`new${round}`), text),
          reapDoomed(db, LATER, LATER, ALL),
          reapDoomed(db, LATER, LATER, ALL),
        ]);
        assert.equal(await doomedAt(db, text), null, `round ${round}`);
        const media = await findMedia(db, mxc(`new${round}`));
        assert.ok(media);
        assert.deepEqual(await unknownBodies(db, [media.blob]), []);
      }
      const listed = new Set((await dueRemovals(db, LATER, ALL)).map((removal) => removal.location));
      const { rows } = await db.query<{ location: string }>("SELECT location FROM blobs");
      assert.deepEqual(
        rows.filter((row) => listed.has(row.location)),
        [],
      );
    });

    test("doomIfUnreferenced waits for a claim that is under way, and then sees its media", async (t) => {
      if (kind.name === "pglite") return t.skip("one connection: nothing is ever under way");
      await storeMedia(db, mxc("old"), "shared");
      let claimed = () => {};
      const isClaimed = new Promise<void>((resolve) => {
        claimed = resolve;
      });
      const upload = db.transaction(async (tx) => {
        await claimBlob(tx, sha256("shared"));
        claimed();
        await tx.query("SELECT pg_sleep(0.1)");
        await insertMedia(tx, {
          ...mxc("new"),
          sha256: sha256("shared"),
          contentType: "text/plain",
          uploadName: undefined,
          userId: "@other:example.org",
          createdAt: NOW,
          frozen: true,
        });
      });
      await isClaimed;
      await Promise.all([upload, db.transaction((tx) => deleteMedia(tx, mxc("old"), NOW))]);
      assert.equal(await doomedAt(db, "shared"), null);
    });

    test("unknownBodies goes by hash and incarnation, whatever the datastore; bytesByDatastore tells what is there", async () => {
      const one = await storeMedia(db, mxc("one"), "12345");
      await storeMedia(db, mxc("two"), "1234567");
      const { generation } = one.blob;
      const here = { sha256: sha256("12345"), generation, location: "wherever" };
      const gone = { sha256: sha256("12345"), generation: generation - 1, location: "there" };
      const other = { sha256: sha256("1234567"), generation, location: "elsewhere" };
      assert.deepEqual(await unknownBodies(db, [gone, here, other]), [gone, other]);
      assert.deepEqual(await unknownBodies(db, []), []);
      assert.deepEqual(await bytesByDatastore(db), new Map([["disk", 12]]));
    });

    test("removals come when they are due, wait when they are postponed, and never name a living body", async () => {
      const media = await storeMedia(db, mxc("alive"), "alive");
      await enqueueRemoval(db, { datastoreId: "disk", location: media.blob.location, createdAt: NOW });
      await enqueueRemoval(db, { datastoreId: "disk", location: "dead", createdAt: NOW });
      assert.deepEqual(await dueRemovals(db, NOW - 1, ALL), []);
      const due = await dueRemovals(db, NOW, ALL);
      assert.deepEqual(
        due.map((removal) => removal.location),
        ["dead"],
      );
      const id = due[0]?.id ?? 0;
      await postponeRemoval(db, id, LATER);
      assert.deepEqual(await dueRemovals(db, NOW, ALL), []);
      assert.equal((await dueRemovals(db, LATER, ALL))[0]?.attempts, 1);
      await forgetRemoval(db, id);
      assert.deepEqual(await dueRemovals(db, LATER, ALL), []);
    });
  });
}

function locationOf(row: { readonly location: string }): string {
  return row.location;
}
