import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type EdgeBucket, makeEdgeBucket } from "../../../origin/stores/bucket/edge_bucket.ts";
import type { Database } from "../../../origin/stores/db/database.ts";
import { deleteMedia, findMedia } from "../../../origin/stores/db/tables/media.ts";
import { enqueueOutbox, markDelivered, undeliveredByKey } from "../../../origin/stores/db/tables/outbox.ts";
import {
  noteVerdict,
  settleVerdict,
  type TakenVerdict,
  takeBackVerdict,
  takeVerdictsByToken,
  takeVerdictsByUser,
} from "../../../origin/stores/db/tables/verdicts.ts";
import { parseDescriptor } from "../../../shared/tiers/descriptor.ts";
import { bodyKey, descriptorKey } from "../../../shared/tiers/object_key.ts";
import { openTestBucket, type TestBucket } from "../../support/bucket.ts";
import { databaseKinds, openTestDatabase } from "../../support/database.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { mxc, NOW, storeMedia } from "./rows.ts";

const USER = "@user:example.org";
const AT_ONCE = 10;

/** Runs `race` for each number below `count`, a few at once, and gives the names of those it says were lost. */
async function races(count: number, race: (n: number) => Promise<boolean>): Promise<number[]> {
  const lost: number[] = [];
  let next = 0;
  const runner = async () => {
    for (let n = next++; n < count; n = next++) if (!(await race(n))) lost.push(n);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, runner));
  return lost;
}

const lateBy = (milliseconds: number) => sleep(Math.random() * milliseconds);

for (const kind of databaseKinds()) {
  describe(`truth and the edge bucket on ${kind.name}`, { skip: kind.skip }, () => {
    const suite = lifetimeOfSuite();
    let db: Database;
    let store: TestBucket;
    let bucket: EdgeBucket;
    before(async () => {
      db = await openTestDatabase(suite, kind);
      store = await openTestBucket(suite);
      const { endpoint, accessKeyId, accessSecret } = store;
      bucket = makeEdgeBucket({ endpoint, bucketName: store.bucket, accessKeyId, accessSecret });
      suite.after(() => bucket.close());
    });

    /** What a miss does: read the row, then, some time later, put the body and write the descriptor. */
    async function fill(id: { serverName: string; mediaId: string }, lateMs: number): Promise<void> {
      const media = await findMedia(db, id);
      if (!media) return;
      await lateBy(lateMs);
      const body = bodyKey(media.blob.sha256, media.blob.generation);
      await bucket.putBody(body, media.blob.size, async () => new Response("x".repeat(media.blob.size)).body as never);
      await lateBy(lateMs);
      await bucket.writeDocument(descriptorKey(id), {
        ...{ v: 1, gen: media.generation, server_name: id.serverName, media_id: id.mediaId, sha256: media.blob.sha256 },
        ...{ size: media.blob.size, type: media.contentType, created: media.createdAt, body },
      });
    }

    /** What a deletion does: the row and the outbox in one transaction, then the delivery. */
    async function purge(id: { serverName: string; mediaId: string }): Promise<void> {
      const key = descriptorKey(id);
      await db.transaction(async (tx) => {
        const deleted = await deleteMedia(tx, id, NOW);
        if (!deleted) return;
        const document = { v: 1, gen: deleted.generation, gone: true, at: NOW } as const;
        await enqueueOutbox(tx, { key, generation: deleted.generation, document, createdAt: NOW });
      });
      for (const entry of await undeliveredByKey(db, key)) {
        await bucket.writeDocument(key, entry.document as { gen: number });
        await markDelivered(db, entry.id, NOW, NOW);
      }
    }

    const isGone = async (key: string) =>
      parseDescriptor((await (await store.r2.get(key))?.text()) ?? "")?.gone === true;

    for (const lateMs of [12, 50]) {
      test(`a deletion that races three fills, each up to ${lateMs} ms late, wins 150 of 150 times`, async () => {
        const lost = await races(150, async (n) => {
          const id = mxc(`purged-${lateMs}-${n}`);
          await storeMedia(db, id, `bytes ${lateMs} ${n}`);
          const late = [fill(id, lateMs), fill(id, lateMs), fill(id, lateMs)];
          await lateBy(lateMs);
          await purge(id);
          const goneAtOnce = await isGone(descriptorKey(id));
          await Promise.all(late);
          return goneAtOnce && (await isGone(descriptorKey(id)));
        });
        assert.deepEqual(lost, []);
      });
    }

    test("a deletion that races the deletion and the new fetch of the same name leaves the newest truth, 60 times", async () => {
      const lost = await races(60, async (n) => {
        const id = { serverName: "remote.example", mediaId: `again-${n}` };
        const fetched = { userId: undefined };
        await storeMedia(db, id, `old ${n}`, fetched);
        const early = fill(id, 20);
        await purge(id);
        await storeMedia(db, id, `new ${n}`, fetched);
        await Promise.all([early, fill(id, 5)]);
        const media = await findMedia(db, id);
        return (await bucket.readDocument(descriptorKey(id)))?.gen === media?.generation;
      });
      assert.deepEqual(lost, []);
    });

    /** What judging a token for the edge does; `isValid` is the homeserver. */
    async function validate(key: string, tokenHash: string, isValid: () => boolean): Promise<void> {
      const noted = { key, serverName: "example.org", tokenHash, terms: "the terms", expiresAt: NOW };
      const note = await noteVerdict(db, noted);
      await lateBy(6);
      if (!isValid()) return await takeBackVerdict(db, note);
      await lateBy(6);
      if ((await settleVerdict(db, { ...noted, ...note, userId: USER }, NOW)) !== "settled") return;
      await lateBy(6);
      await bucket.writeDocument(key, { gen: note.generation });
    }

    async function bury(taken: readonly TakenVerdict[]): Promise<void> {
      for (const { key, generation } of taken) await bucket.writeDocument(key, { gen: generation, gone: true });
    }

    const isLive = async (key: string) => ((await bucket.readDocument(key)) ?? { gone: true }).gone !== true;

    test("a logout that races four validations of its token leaves none alive, 200 of 200 times", async () => {
      const lost = await races(200, async (n) => {
        const [key, tokenHash] = [`a/logout-${n}`, `hash-${n}`];
        let isValid = true;
        const validations = Array.from({ length: 4 }, () =>
          lateBy(12).then(() => validate(key, tokenHash, () => isValid)),
        );
        await lateBy(18);
        isValid = false;
        await bury(await db.transaction((tx) => takeVerdictsByToken(tx, tokenHash)));
        await Promise.all(validations);
        return !(await isLive(key));
      });
      assert.deepEqual(lost, []);
    });

    test("a logout of all tokens that races validations of several leaves none alive, 60 of 60 times", async () => {
      for (let n = 0; n < 60; n += 1) {
        const keys = [0, 1, 2, 3].map((token) => `a/all-${n}-${token}`);
        let isValid = true;
        const validations = keys.map((key) => lateBy(12).then(() => validate(key, key, () => isValid)));
        await lateBy(18);
        isValid = false;
        await bury(await db.transaction((tx) => takeVerdictsByUser(tx, USER, NOW)));
        await Promise.all(validations);
        for (const key of keys) assert.equal(await isLive(key), false, `round ${n}`);
      }
    });
  });
}
