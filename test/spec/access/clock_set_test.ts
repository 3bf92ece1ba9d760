import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { startOrigin, type TestOrigin } from "../../support/app.ts";
import { setBy } from "../../support/clocks.ts";
import { type FakeHomeserver, startHomeserver } from "../../support/homeserver.ts";
import { ask } from "../../support/http.ts";
import type { Lifetime } from "../../support/lifetime.ts";
import { until } from "../../support/until.ts";

/** The time of day is set by an hour while we run: what measures durations does not notice. */

const HOUR_MS = 3_600_000;
const CONFIG = "/_matrix/client/v1/media/config";
/** Far less than an hour, and more than any wait below. */
const SOON = { withinMs: 20_000 };

interface Stage {
  readonly origin: TestOrigin;
  readonly homeserver: FakeHomeserver;
  set(byMs: number): void;
  status(token?: string): Promise<number>;
}

async function open(t: Lifetime, yaml: string): Promise<Stage> {
  const homeserver = await startHomeserver({ token_of_user: { user_id: "@user:example.org" } });
  t.after(() => homeserver.close());
  let aheadMs = 0;
  const origin = await startOrigin(t, {
    homeservers: { "example.org": { csApi: homeserver.url, backoffAt: 1 } },
    overrides: setBy(() => aheadMs),
    yaml,
  });
  return {
    ...{ origin, homeserver },
    set(byMs) {
      aheadMs = byMs;
    },
    status: async (token = "token_of_user") => (await ask(origin.url, CONFIG, { token })).status,
  };
}

for (const [how, byMs] of [
  ["back", -HOUR_MS],
  ["forward", HOUR_MS],
] as const) {
  describe(`the time of day is set ${how} by an hour`, () => {
    test("while a homeserver is left alone: it is asked again in time", async (t) => {
      const stage = await open(t, "accessTokens: { maxCacheTimeSeconds: 0 }\n");
      stage.homeserver.answer = { status: 500, body: {} };
      assert.equal(await stage.status(), 503);
      stage.homeserver.answer = undefined;
      assert.equal(await stage.status(), 503, "its circuit is open");
      stage.set(byMs);
      await until(async () => (await stage.status()) === 200, "the homeserver is asked again", SOON);
    });

    test("while a token is remembered: it is for as long as it was to be", async (t) => {
      const stage = await open(t, "accessTokens: { maxCacheTimeSeconds: 4 }\n");
      assert.equal(await stage.status(), 200);
      stage.set(byMs);
      stage.homeserver.accounts.clear();
      const asked = stage.homeserver.asked.length;
      assert.equal(await stage.status(), 200, "it is still remembered");
      assert.equal(stage.homeserver.asked.length, asked);
      await until(async () => (await stage.status()) === 401, "the token is forgotten", SOON);
    });

    test("while somebody has reached a limit: it is open again in time", async (t) => {
      const stage = await open(t, "rateLimit: { requestsPerSecond: 2, burst: 1 }\n");
      const token = randomBytes(4).toString("hex");
      stage.homeserver.accounts.set(token, { user_id: "@limited:example.org" });
      assert.equal(await stage.status(token), 200);
      assert.equal(await stage.status(token), 429);
      stage.set(byMs);
      assert.equal(await stage.status(token), 429, "the second is not over");
      await until(async () => (await stage.status(token)) === 200, "the limit is open again", SOON);
    });
  });
}
