import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { ask } from "../support/http.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";
import type { Session } from "../support/synapse.ts";
import { findSynapse } from "../support/synapse_venv.ts";
import { untilRevoked } from "../support/until_revoked.ts";
import { both, judged, MEMORIES, refusal, type Stage, sendUpload, startStage, TIERS } from "./stage.ts";

const synapseInstallation = await findSynapse();

const GOOD = both<unknown>(200);
const UNKNOWN = both<unknown>([401, "M_UNKNOWN_TOKEN", false]);
const SOFT = both<unknown>([401, "M_UNKNOWN_TOKEN", true]);
const LOCKED = both<unknown>([401, "M_USER_LOCKED", true]);
/** Long enough for a token to be judged good on a slow machine. */
const LIFETIME_MS = 15_000;

describe("sessions of a real Synapse are judged as they are", {
  skip: synapseInstallation.skip,
  concurrency: 6,
}, () => {
  const lifetime = lifetimeOfSuite();
  let stage: Stage;

  before(async () => {
    const settings = { refreshable_access_token_lifetime: LIFETIME_MS };
    stage = await startStage(lifetime, synapseInstallation, { settings });
  });

  /** What an administrator does to an account. */
  async function administer(method: string, path: string, body: unknown): Promise<void> {
    const told = await stage.synapse.call(method, `/_synapse/admin/${path}`, stage.synapse.admin.token, body);
    assert.equal(told.status, 200, JSON.stringify(told.body));
  }

  async function knownToSynapse({ token }: Session): Promise<boolean> {
    return (await stage.synapse.call("GET", "/_matrix/client/v3/account/whoami", token)).status === 200;
  }

  for (const memory of MEMORIES) {
    for (const tier of TIERS) {
      const logOut = (token: string, path = "logout") =>
        ask(stage[memory].tiers[tier], `/_matrix/client/v3/${path}`, { method: "POST", token });

      describe(`${memory}, by way of the ${tier}`, { concurrency: 3 }, () => {
        test("logging out voids this session everywhere, and no other", async () => {
          const first = await stage.synapse.register();
          const second = await stage.synapse.login(first);
          for (const { token } of [first, second]) assert.deepEqual(await judged(stage, memory, token), GOOD);
          assert.equal((await logOut(first.token)).status, 200);
          assert.deepEqual(await voided(stage, memory, first.token), UNKNOWN);
          assert.deepEqual(await judged(stage, memory, second.token), GOOD);
          assert.deepEqual([await knownToSynapse(first), await knownToSynapse(second)], [false, true]);
        });

        test("logging out of all sessions voids all of this user, and no other user's", async () => {
          const sessions = [await stage.synapse.register()];
          for (let more = 0; more < 2; more += 1) sessions.push(await stage.synapse.login(sessions[0] as Session));
          const other = await stage.synapse.register();
          for (const { token } of [...sessions, other]) assert.deepEqual(await judged(stage, memory, token), GOOD);
          assert.equal((await logOut(sessions[1]?.token ?? "", "logout/all")).status, 200);
          for (const { token } of sessions) assert.deepEqual(await voided(stage, memory, token), UNKNOWN);
          assert.deepEqual(await judged(stage, memory, other.token), GOOD);
        });

        test("a guest is kept in, as Synapse keeps guests in", async () => {
          const { token } = await stage.synapse.guest();
          const told = await stage.synapse.call("POST", "/_matrix/client/v3/logout", token, {});
          assert.deepEqual(refusal(await logOut(token)), [told.status, told.body.errcode]);
          assert.deepEqual(await judged(stage, memory, token), GOOD);
        });

        for (const path of ["logout", "logout/all"]) {
          test(`a locked account may ${path}`, async () => {
            const user = await stage.synapse.register();
            await administer("PUT", `v2/users/${user.userId}`, { locked: true });
            assert.deepEqual(await judged(stage, memory, user.token), LOCKED);
            assert.equal((await logOut(user.token, path)).status, 200);
            assert.deepEqual(await judged(stage, memory, user.token), UNKNOWN);
          });
        }

        test("who was logged out at Synapse and logs out here hears so, and is remembered no longer", async () => {
          const user = await stage.synapse.register();
          assert.deepEqual(await judged(stage, memory, user.token), GOOD);
          await stage.synapse.call("POST", "/_matrix/client/v3/logout", user.token, {});
          assert.deepEqual(refusal(await logOut(user.token)), [401, "M_UNKNOWN_TOKEN", false]);
          assert.deepEqual(await voided(stage, memory, user.token), UNKNOWN);
        });
      });
    }

    describe(`${memory}, at both tiers`, { concurrency: 3 }, () => {
      test("a soft logout stays soft, and the refreshed token is good", async () => {
        const { token, refresh } = await refreshable();
        if (memory === "asking") assert.deepEqual(await judged(stage, memory, token), GOOD);
        await wait(LIFETIME_MS + 100);
        assert.deepEqual(await judged(stage, memory, token), SOFT);
        const uploads = TIERS.map((tier) => sendUpload(stage[memory].tiers[tier], token));
        for (const heard of await Promise.all(uploads)) assert.deepEqual(refusal(heard), SOFT.edge);
        const asking = { refresh_token: refresh };
        const { body } = await stage.synapse.call("POST", "/_matrix/client/v3/refresh", undefined, asking);
        assert.deepEqual(await judged(stage, memory, String(body.access_token)), GOOD);
      });

      test("a token that expired may log out", async () => {
        const { token } = await refreshable();
        await wait(LIFETIME_MS + 100);
        const heard = await ask(stage[memory].tiers.edge, "/_matrix/client/v3/logout", { method: "POST", token });
        assert.equal(heard.status, 200, heard.body.toString());
        assert.deepEqual(await judged(stage, memory, token), UNKNOWN);
      });

      test("a locked account hears that it is locked, softly, until it is not", async () => {
        const { userId, token } = await stage.synapse.register();
        await administer("PUT", `v2/users/${userId}`, { locked: true });
        assert.deepEqual(await judged(stage, memory, token), LOCKED);
        const uploads = TIERS.map((tier) => sendUpload(stage[memory].tiers[tier], token));
        for (const heard of await Promise.all(uploads)) assert.deepEqual(refusal(heard), LOCKED.edge);
        await administer("PUT", `v2/users/${userId}`, { locked: false });
        assert.deepEqual(await judged(stage, memory, token), GOOD);
      });

      test("a suspended user still sees media", async () => {
        const { userId, token } = await stage.synapse.register();
        await administer("PUT", `v1/suspend/${userId}`, { suspend: true });
        assert.deepEqual(await judged(stage, memory, token), GOOD);
      });

      test("a deactivated user is nobody", async () => {
        const { userId, token } = await stage.synapse.register();
        if (memory === "asking") assert.deepEqual(await judged(stage, memory, token), GOOD);
        await administer("POST", `v1/deactivate/${userId}`, {});
        assert.deepEqual(await judged(stage, memory, token), UNKNOWN);
      });
    });
  }

  test("where nothing is remembered, what happens behind our back holds at once", async () => {
    const user = await stage.synapse.register();
    assert.deepEqual(await judged(stage, "asking", user.token), GOOD);
    await administer("PUT", `v2/users/${user.userId}`, { locked: true });
    assert.deepEqual(await judged(stage, "asking", user.token), LOCKED);
    await administer("PUT", `v2/users/${user.userId}`, { locked: false });
    await stage.synapse.call("POST", "/_matrix/client/v3/logout", user.token, {});
    assert.deepEqual(await judged(stage, "asking", user.token), UNKNOWN);
  });

  async function refreshable(): Promise<{ token: string; refresh: string }> {
    const { userId, password } = await stage.synapse.register();
    const identifier = { type: "m.id.user", user: userId };
    const asking = { type: "m.login.password", identifier, password, refresh_token: true };
    const { body } = await stage.synapse.call("POST", "/_matrix/client/v3/login", undefined, asking);
    return { token: String(body.access_token), refresh: String(body.refresh_token) };
  }
});

/** The judgement after a revocation. */
async function voided(...asking: Parameters<typeof judged>): Promise<Record<string, unknown>> {
  const { verdicts } = await untilRevoked(async () => {
    const verdicts = await judged(...asking);
    return { verdicts, status: Object.values(verdicts).includes(200) ? 200 : 401 };
  });
  return verdicts;
}
