import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import { makeReap } from "../../../origin/jobs/reap.ts";
import type { Database } from "../../../origin/stores/db/database.ts";
import type { Datastore } from "../../../origin/stores/objects/datastore.ts";
import { makeS3Datastore } from "../../../origin/stores/objects/s3.ts";
import { databaseKinds, openTestDatabase } from "../../support/database.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { complaintsLog } from "./complaints.ts";
import { refuse, startFailingStore } from "./failing_store.ts";
import { NOW } from "./rows.ts";

const COUNT = 1_000;
const never = new AbortController().signal;

for (const kind of databaseKinds()) {
  describe(`reaping with ${kind.name}`, { skip: kind.skip }, () => {
    const suite = lifetimeOfSuite();
    let db: Database;
    before(async () => {
      db = await openTestDatabase(suite, kind);
    });
    beforeEach(async () => {
      await db.exec("TRUNCATE removals");
      await db.query(
        `INSERT INTO removals (datastore_id, location, created_at, due_at)
         SELECT 's3', 'object-' || n, 1, 1 FROM generate_series(1, $1::int) n`,
        [COUNT],
      );
    });

    const waiting = async () =>
      (await db.query<{ location: string }>("SELECT location FROM removals ORDER BY id")).rows.map(
        (row) => row.location,
      );

    function reaperOf(store: Datastore | undefined, nowMs = NOW) {
      const { log, complaints } = complaintsLog();
      const parts = { datastores: () => store, bucket: undefined, graceMs: 0 };
      return { complaints, reap: makeReap({ db, log, clock: () => nowMs, ...parts }) };
    }

    test("removes all that is due in one run, a few objects at once; one that fails keeps no other", async (t) => {
      let running = 0;
      let most = 0;
      const { options } = await startFailingStore(t, (request, response) => {
        running += 1;
        most = Math.max(most, running);
        setImmediate(() => {
          running -= 1;
          if (request.url?.includes("/object-7?")) refuse(response, 403, "AccessDenied");
          else response.writeHead(204).end();
        });
      });
      const store = makeS3Datastore({ id: "s3", ...options });
      t.after(() => store.close());
      const { reap, complaints } = reaperOf(store);
      assert.equal(await reap(never), COUNT - 1);
      assert.deepEqual(await waiting(), ["object-7"]);
      assert.deepEqual(
        complaints.map((one) => one.details.location),
        ["object-7"],
      );
      assert.ok(most > 1 && most < 20, String(most));
    });

    test("tries what is in vain less and less often, and not all of it", async () => {
      const { reap, complaints } = reaperOf(undefined);
      assert.equal(await reap(never), 0);
      assert.ok(complaints.length > 0 && complaints.length < COUNT / 2, String(complaints.length));
      const due = async () => (await db.query<{ due: number }>("SELECT max(due_at) AS due FROM removals")).rows[0]?.due;
      const first = (await due()) ?? 0;
      await db.query("DELETE FROM removals WHERE due_at < $1", [NOW]);
      assert.equal(await reaperOf(undefined, first).reap(never), 0);
      assert.ok(((await due()) ?? 0) - first > first - NOW);
    });

    test("ends at once when it is told to, however long the store takes, and puts nothing off for that", async (t) => {
      const stop = new AbortController();
      const { options } = await startFailingStore(t, () => stop.abort(new Error("the service is being stopped")));
      const store = makeS3Datastore({ id: "s3", ...options });
      t.after(() => store.close());
      const { reap, complaints } = reaperOf(store);
      assert.equal(await reap(stop.signal), 0);
      const { rows } = await db.query("SELECT count(*) AS n FROM removals WHERE due_at = 1");
      assert.deepEqual(rows, [{ n: COUNT }]);
      assert.deepEqual(complaints, []);
    });
  });
}
