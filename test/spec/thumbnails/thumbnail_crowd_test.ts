import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { App } from "../../../origin/app.ts";
import { startStack, type TestStack } from "../../support/app.ts";
import { ask, type Heard, jsonOf, upload } from "../../support/http.ts";
import { makePhoto } from "../../support/pictures.ts";
import { requestsSeen } from "../../support/requests_seen.ts";
import { until } from "../../support/until.ts";

/** What many who want thumbnails at once cost, and what becomes of those who are too many. */

const USER = "token_of_user";

/** How many thumbnails this origin has made. */
async function thumbnailsMade(app: App): Promise<number> {
  const { body } = await app.metrics.page();
  const lines = body.match(/^media_thumbnails_generated_total\{.*\} \d+$/gm) ?? [];
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

function thumbnail(id: string, side: number): string {
  return `/_matrix/client/v1/media/thumbnail/${id}?width=${side}&height=${side}&method=crop`;
}

describe("thumbnails for many", () => {
  test("one that 50 want at once is made once, at either tier, and all get the same bytes", async (t) => {
    const stack = await startStack(t);
    for (const base of Object.values(stack.tiers)) {
      const id = await upload(base, USER, await makePhoto(1600, 1200), { type: "image/jpeg" });
      const before = await thumbnailsMade(stack.origin.app);
      const heard = await Promise.all(Array.from({ length: 50 }, () => ask(base, thumbnail(id, 96), { token: USER })));
      assert.deepEqual([...new Set(heard.map(({ status }) => status))], [200]);
      assert.equal(new Set(heard.map(({ headers }) => headers.etag)).size, 1);
      assert.equal((await thumbnailsMade(stack.origin.app)) - before, 1);
      const { rows } = await stack.origin.app.db.query("SELECT FROM thumbnails WHERE media_id = $1", [
        id.split("/")[1],
      ]);
      assert.equal(rows.length, 1);
    }
  });

  test("one is made to the end for the next who asks, when the one who asked has left", async (t) => {
    const stack = await startStack(t);
    const { app } = stack.origin;
    // Who is too late to leave before it is made tries another picture.
    const { id, made } = await until(async () => {
      const id = await upload(stack.tiers.origin, USER, await makePhoto(1600, 1200), { type: "image/jpeg" });
      const made = await thumbnailsMade(app);
      return (await leaveWaiting(stack, id)) && { id, made };
    }, "nobody left in time");
    await until(async () => (await thumbnailsMade(app)) > made, "it was not made");
    assert.equal((await ask(stack.tiers.origin, thumbnail(id, 96), { token: USER })).status, 200);
    assert.equal(await thumbnailsMade(app), made + 1);
  });

  test("beyond what may wait are 503 with Retry-After at once, and are made when there is room again", async (t) => {
    const stack = await startStack(t, {
      yaml: "thumbnails: { numWorkers: 1, dynamicSizing: true }\n",
      overrides: { thumbnailQueue: 2 },
    });
    for (const base of Object.values(stack.tiers)) {
      const id = await upload(base, USER, await makePhoto(2400, 1800), { type: "image/jpeg" });
      const sides = Array.from({ length: 12 }, (_, index) => 500 + index);
      const heard = await Promise.all(sides.map((side) => ask(base, thumbnail(id, side), { token: USER })));
      const refused = heard.filter(({ status }) => status !== 200);
      assert.ok(refused.length >= 3 && heard.length - refused.length >= 3, `${refused.length} of 12 were refused`);
      for (const one of refused) isBusy(one);
      for (const side of sides) assert.equal((await ask(base, thumbnail(id, side), { token: USER })).status, 200);
    }
  });
});

/** Asks for a thumbnail and leaves when the origin has heard of it; tells whether that was before it was made. */
async function leaveWaiting({ tiers, origin: { app } }: TestStack, id: string): Promise<boolean> {
  const seen = await requestsSeen(app.metrics);
  const made = await thumbnailsMade(app);
  const leaving = new AbortController();
  const headers = { authorization: `Bearer ${USER}` };
  const answered = fetch(tiers.origin + thumbnail(id, 96), { headers, signal: leaving.signal }).then(
    (answer) => answer.arrayBuffer().then(() => true),
    () => false,
  );
  await until(async () => (await requestsSeen(app.metrics)) > seen, "it was not asked for");
  const isMade = (await thumbnailsMade(app)) > made;
  leaving.abort();
  return !(await answered.catch(() => true)) && !isMade;
}

function isBusy(heard: Heard): void {
  assert.equal(heard.status, 503);
  assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
  assert.match(heard.headers["retry-after"] ?? "", /^[1-9][0-9]*$/);
  assert.equal(heard.headers["cache-control"], "no-store");
}
