import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { ask, upload } from "../support/http.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";
import { makePhoto } from "../support/pictures.ts";
import type { Session } from "../support/synapse.ts";
import { findSynapse } from "../support/synapse_venv.ts";
import { untilRevoked } from "../support/until_revoked.ts";
import { download, MEMORIES, refusal, remove, type Stage, sendUpload, startStage, TIERS, uploaded } from "./stage.ts";

const synapseInstallation = await findSynapse();

describe("whoever a real Synapse knows is judged rightly", { skip: synapseInstallation.skip }, () => {
  const lifetime = lifetimeOfSuite();
  let stage: Stage;
  let user: Session;
  let other: Session;
  let guest: Session;

  before(async () => {
    stage = await startStage(lifetime, synapseInstallation);
    const { synapse } = stage;
    [user, other, guest] = await Promise.all([synapse.register(), synapse.register(), synapse.guest()]);
    for (const username of ["bridged_alice", "bridged_bob"]) {
      const registration = { type: "m.login.application_service", username, inhibit_login: true };
      const told = await synapse.call("POST", "/_matrix/client/v3/register", synapse.bridge.token, registration);
      assert.equal(told.status, 200, JSON.stringify(told.body));
    }
  });

  for (const memory of MEMORIES) {
    for (const tier of TIERS) {
      describe(`by a repository that is ${memory}, at the ${tier}`, () => {
        const base = () => stage[memory].tiers[tier];
        const as = (localpart: string) => `?user_id=${encodeURIComponent(`@${localpart}:${stage.synapse.serverName}`)}`;

        test("a user uploads, and another one downloads", async () => {
          const photo = await makePhoto(120, 90);
          const id = await upload(base(), user.token, photo, { type: "image/jpeg" });
          assert.match(id, new RegExp(`^${stage.synapse.serverName}/`));
          assert.ok((await download(base(), id, { token: other.token })).body.equals(photo));
          const thumbnail = `/_matrix/client/v1/media/thumbnail/${id}?width=32&height=32&method=crop`;
          assert.equal((await ask(base(), thumbnail, { token: other.token })).status, 200);
        });

        test("a guest downloads, but neither uploads nor deletes", async () => {
          const id = await uploaded(base(), user.token);
          assert.equal((await download(base(), id, { token: guest.token })).status, 200);
          const forbidden = [403, "M_GUEST_ACCESS_FORBIDDEN"];
          assert.deepEqual(refusal(await sendUpload(base(), guest.token)), forbidden);
          const config = await ask(base(), "/_matrix/client/v1/media/config", { token: guest.token });
          assert.deepEqual(refusal(config), forbidden);
          const creating = await ask(base(), "/_matrix/media/v1/create", { method: "POST", token: guest.token });
          assert.deepEqual(refusal(creating), forbidden);
          assert.deepEqual(refusal(await remove(base(), id, guest.token)), forbidden);
        });

        test("a token that Synapse does not know is refused as Synapse refuses it, and none at all as well", async () => {
          const id = await uploaded(base(), user.token);
          const unknown = [401, "M_UNKNOWN_TOKEN", false];
          assert.deepEqual(refusal(await download(base(), id, { token: "nobody" })), unknown);
          assert.deepEqual(refusal(await sendUpload(base(), "nobody")), unknown);
          assert.deepEqual(refusal(await download(base(), id, {})), [401, "M_MISSING_TOKEN"]);
          assert.deepEqual(refusal(await sendUpload(base(), undefined)), [401, "M_MISSING_TOKEN"]);
        });

        test("what a user uploaded is the user's own, whoever it names", async () => {
          const { token, userId } = user;
          const id = await uploaded(base(), token, `?user_id=${encodeURIComponent(other.userId)}`);
          assert.notEqual(userId, other.userId);
          assert.deepEqual(refusal(await remove(base(), id, other.token)), [403, "M_FORBIDDEN"]);
          assert.equal((await remove(base(), id, token)).status, 200);
        });

        test("an application service is its own user, or one of those that it registered", async () => {
          const { token } = stage.synapse.bridge;
          const own = await uploaded(base(), token);
          const ofAlice = await uploaded(base(), token, as("bridged_alice"));
          for (const query of ["", as("bridged_bob")]) {
            assert.equal((await download(base(), `${ofAlice}${query}`, { token })).status, 200);
            assert.deepEqual(refusal(await remove(base(), ofAlice, token, query)), [403, "M_FORBIDDEN"]);
          }
          assert.equal((await remove(base(), ofAlice, token, as("bridged_alice"))).status, 200);
          assert.equal((await remove(base(), own, token)).status, 200);
        });

        test("an application service is nobody else", async () => {
          const { token } = stage.synapse.bridge;
          const id = await uploaded(base(), user.token);
          const outside = `?user_id=${encodeURIComponent(user.userId)}`;
          assert.deepEqual(refusal(await sendUpload(base(), token, outside)), [403, "M_FORBIDDEN"]);
          assert.deepEqual(refusal(await download(base(), `${id}${outside}`, { token })), [403, "M_FORBIDDEN"]);
          assert.deepEqual(refusal(await remove(base(), id, token, outside)), [403, "M_FORBIDDEN"]);
          const foreign = `${as("bridged_alice")}&device_id=NOT_MINE`;
          assert.deepEqual(refusal(await sendUpload(base(), token, foreign)), [400, "M_UNKNOWN_DEVICE"]);
          // Without asking Synapse nobody can tell who was registered; its namespace is the service's own.
          const unregistered = await sendUpload(base(), token, as("bridged_nobody"));
          if (memory === "remembering") assert.equal(unregistered.status, 200);
          else assert.deepEqual(refusal(unregistered), [403, "M_FORBIDDEN"]);
        });

        test("only an administrator of Synapse deletes what others uploaded, and then it is gone at both tiers", async () => {
          const id = await uploaded(base(), user.token);
          const { admin } = stage.synapse;
          for (const name of TIERS) {
            const shown = await download(stage[memory].tiers[name], id, { token: other.token });
            assert.equal(shown.status, 200);
          }
          assert.deepEqual(refusal(await remove(base(), id, other.token)), [403, "M_FORBIDDEN"]);
          assert.equal((await remove(base(), id, admin.token)).status, 200);
          for (const name of TIERS) await goneFor(stage[memory].tiers[name], id, other.token);
        });
      });
    }
  }
});

async function goneFor(base: string, id: string, token: string): Promise<void> {
  const heard = await untilRevoked(() => download(base, id, { token }));
  assert.deepEqual(refusal(heard), [404, "M_NOT_FOUND"]);
}
