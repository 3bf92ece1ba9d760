import assert from "node:assert/strict";
import { test } from "node:test";
import { ask } from "../support/http.ts";
import { openStage, publishTo, TOKEN, v1 } from "./stage.ts";

/** Somebody sets the time of day where the edge runs: nothing is shown for longer than two seconds for it. */

const HOUR_MS = 3_600_000;

for (const [how, byMs] of [
  ["back", -HOUR_MS],
  ["forward", HOUR_MS],
] as const) {
  test(`what is deleted is gone, and who is logged out is out, when the time of day is set ${how} by an hour`, async (t) => {
    const stage = await openStage();
    t.after(() => stage.close());
    await stage.publish({ mediaId: "deleted" });
    await stage.publish({ mediaId: "kept" });
    // Longer than an hour: only what the edge remembers is in question.
    stage.origin.verdicts.set(TOKEN, { scope: "memory", verdict: { exp: Date.now() + 24 * HOUR_MS } });
    const status = async (mediaId: string) => (await ask(stage.edge.url, v1(mediaId), { token: TOKEN })).status;
    assert.deepEqual([await status("deleted"), await status("kept")], [200, 200]);

    await publishTo(stage.edge.bucket, { mediaId: "deleted", descriptor: { gen: 2, quarantined: true } });
    const set = async (ms: number) => {
      stage.origin.setByMs = ms;
      await stage.edge.setClock(ms);
    };
    await set(byMs);
    assert.equal(await status("deleted"), 404);
    assert.equal(await status("kept"), 200);
    stage.origin.verdicts.delete(TOKEN);
    await set(2 * byMs);
    assert.equal(await status("kept"), 401);
  });
}
