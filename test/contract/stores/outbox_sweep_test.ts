import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { before, beforeEach, describe, test } from "node:test";
import { makeOutbox } from "../../../origin/publish/outbox.ts";
import { makeEdgeBucket } from "../../../origin/stores/bucket/edge_bucket.ts";
import type { Database } from "../../../origin/stores/db/database.ts";
import { countUndelivered, enqueueOutbox } from "../../../origin/stores/db/tables/outbox.ts";
import { databaseKinds, openTestDatabase } from "../../support/database.ts";
import { type Lifetime, lifetimeOfSuite } from "../../support/lifetime.ts";
import { complaintsLog } from "./complaints.ts";
import { refuse, startFailingStore } from "./failing_store.ts";
import { NOW } from "./rows.ts";

const HOUR_MS = 3_600_000;
const never = new AbortController().signal;

for (const kind of databaseKinds()) {
  describe(`sweeping the outbox with ${kind.name}`, { skip: kind.skip }, () => {
    const suite = lifetimeOfSuite();
    let db: Database;
    before(async () => {
      db = await openTestDatabase(suite, kind);
    });
    beforeEach(() => db.exec("TRUNCATE edge_outbox"));

    /** The outbox over a store that takes everything and keeps tombstones, but where `answer` has answered. */
    async function openOutbox(t: Lifetime, answer: (request: string, response: ServerResponse) => boolean) {
      const world = { nowMs: NOW, gauge: Number.NaN };
      const store = await startFailingStore(t, ({ method, url }, response) => {
        if (answer(`${method} ${url?.replace(/\?.*/, "")}`, response)) return;
        if (method === "GET") response.writeHead(200, { etag: '"1"' }).end(`{"gen":${url?.match(/(\d+)\?/)?.[1]}}`);
        else response.writeHead(method === "DELETE" ? 204 : 200, { etag: '"1"' }).end();
      });
      const bucket = makeEdgeBucket(store.options);
      t.after(() => bucket.close());
      const { log, complaints } = complaintsLog();
      const metrics = {
        published() {},
        outboxWaiting(count: number) {
          world.gauge = count;
        },
      };
      const limits = { deadlineMs: 60_000, tombstoneMs: HOUR_MS };
      const outbox = makeOutbox({ ...{ db, bucket, log, metrics }, ...limits, clock: () => world.nowMs });
      return { world, outbox, complaints, requests: store.requests };
    }

    const note = (from: number, to: number, bulk = false) =>
      enqueueOutbox(
        db,
        ...Array.from({ length: to - from }, (_, n) => ({
          key: `d/x/${from + n}`,
          generation: from + n,
          document: { v: 1, gen: from + n, gone: true, at: NOW },
          createdAt: NOW,
          bulk,
        })),
      );

    test("delivers all there is in one go, what is urgent before what comes in masses", async (t) => {
      const { outbox, requests, world } = await openOutbox(t, () => false);
      await note(0, 300, true);
      await note(300, 302);
      assert.equal(await outbox.sweep(0, never), 302);
      for (const urgent of [300, 301]) assert.ok(requests.indexOf(`PUT /media/d/x/${urgent}`) < 50, String(urgent));
      assert.equal(requests.length, 302);
      assert.equal(await countUndelivered(db), 0);
      assert.equal(world.gauge, 0);
    });

    test("takes tombstones away when their time is over; one that cannot be taken away keeps no other", async (t) => {
      let broken = true;
      const { outbox, requests, world, complaints } = await openOutbox(t, (request, response) => {
        if (!broken || request !== "DELETE /media/d/x/3") return false;
        refuse(response, 403, "AccessDenied");
        return true;
      });
      await note(0, 100);
      await outbox.sweep(0, never);
      world.nowMs += HOUR_MS - 1;
      await outbox.sweep(0, never);
      const removed = () => requests.filter((request) => request.startsWith("DELETE ")).length;
      assert.equal(removed(), 0);
      world.nowMs += 1;
      world.gauge = Number.NaN;
      await outbox.sweep(0, never);
      assert.equal(removed(), 100);
      assert.equal(world.gauge, 0);
      assert.deepEqual(
        complaints.map((one) => one.details.key),
        ["d/x/3"],
      );
      await outbox.sweep(0, never);
      assert.equal(removed(), 100, "it waits a while");
      broken = false;
      world.nowMs += HOUR_MS;
      await outbox.sweep(0, never);
      assert.deepEqual((await db.query("SELECT FROM edge_outbox")).rows, []);
    });

    test("delivers what was noted or put off before the time of day was set back", async (t) => {
      let broken = true;
      const { outbox, world } = await openOutbox(t, (request, response) => {
        if (!broken || request !== "PUT /media/d/x/1") return false;
        refuse(response, 403, "AccessDenied");
        return true;
      });
      await note(0, 3);
      assert.equal(await outbox.sweep(0, never), 2);
      broken = false;
      assert.equal(await outbox.sweep(0, never), 0, "it waits a while");
      await note(10, 12);
      world.nowMs -= HOUR_MS;
      assert.equal(await outbox.sweep(0, never), 3);
    });

    test("ends at once when it is told to, however long the store takes, and puts nothing off for that", async (t) => {
      const stop = new AbortController();
      const { outbox, complaints } = await openOutbox(t, () => {
        stop.abort(new Error("the service is being stopped"));
        return true;
      });
      await note(0, 100);
      assert.equal(await outbox.sweep(0, stop.signal), 0);
      const { rows } = await db.query("SELECT count(*) AS n FROM edge_outbox WHERE due_at = $1", [NOW]);
      assert.deepEqual(rows, [{ n: 100 }]);
      assert.deepEqual(complaints, []);
    });
  });
}
