import assert from "node:assert/strict";
import { test } from "node:test";
import { acquireLease, deleteLeases, releaseLease, renewLease } from "../../origin/stores/db/tables/leases.ts";
import { setBy } from "../support/clocks.ts";
import { databaseKinds, openTestDatabase } from "../support/database.ts";
import { openStage, until } from "./stage.ts";

/** What the time of day means to media of other servers, when somebody sets it: nothing. */

const HOUR_MS = 3_600_000;

test("another server that was left alone is asked again in time, whatever the time of day is set to", async (t) => {
  for (const byMs of [-HOUR_MS, HOUR_MS]) {
    let aheadMs = 0;
    const stage = await openStage(t, {
      overrides: setBy(() => aheadMs),
      federation: "{ allowedNetworks: [127.0.0.0/8], disallowedNetworks: [], backoffAt: 1 }",
    });
    stage.remote.media.set("there", { bytes: Buffer.from("media") });
    stage.remote.instead.set("/", (_, response) => void response.writeHead(502).end("down"));
    assert.equal((await stage.get("one")).status, 502);
    stage.remote.instead.clear();
    assert.equal((await stage.get("two")).status, 502, "its circuit is open");
    aheadMs = byMs;
    let asked = 0;
    await until(async () => {
      asked += 1;
      // What failed is remembered by itself: each time another media.
      stage.remote.media.set(`there${asked}`, { bytes: Buffer.from("media") });
      return (await stage.get(`there${asked}`)).status === 200;
    });
  }
});

for (const kind of databaseKinds()) {
  test(`a lease that was taken before the time of day was set back is nobody's, on ${kind.name}`, {
    skip: kind.skip,
  }, async (t) => {
    const db = await openTestDatabase(t, kind);
    const name = "fetch mxc://a.example/x";
    const take = (holder: string, now: number) => acquireLease(db, { name, holder, now, until: now + 20_000 });
    assert.equal(await take("dead", HOUR_MS * 10), true);
    assert.equal(await take("alive", HOUR_MS * 10 + 19_000), false);
    assert.equal(await take("alive", HOUR_MS * 10 - 30_000), false, "two processes differ by half a minute");
    assert.equal(await take("alive", HOUR_MS * 9), true);
  });

  test(`a lease is kept, taken over and given back by its holder only, on ${kind.name}`, {
    skip: kind.skip,
  }, async (t) => {
    const db = await openTestDatabase(t, kind);
    const name = "one thing";
    const take = (holder: string, now: number) => acquireLease(db, { name, holder, now, until: now + 100 });
    assert.equal(await take("a", 0), true);
    assert.deepEqual(await Promise.all(["b", "c"].map((holder) => take(holder, 0))), [false, false]);
    assert.equal(await renewLease(db, { name, holder: "a", until: 150 }), true);
    assert.equal(await take("b", 149), false);
    assert.equal(await take("b", 150), true, "one that has ended is taken over");
    assert.equal(await renewLease(db, { name, holder: "a", until: 1_000 }), false);
    await releaseLease(db, { name, holder: "a" });
    assert.equal(await take("c", 200), false);
    await releaseLease(db, { name, holder: "b" });
    assert.equal(await take("c", 200), true);
    assert.equal(await deleteLeases(db, 300), 0);
    assert.equal(await deleteLeases(db, 301), 1);
  });
}
