import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ask, jsonOf, upload } from "../../support/http.ts";
import { bytes, create, newUser, put, stackForFile } from "../uploads/stage.ts";

const stack = stackForFile({
  yaml: `
uploads:
  maxBytes: 5000
  maxPending: 2
  quotas:
    enabled: true
    users:
      - { glob: "@limited*", maxBytes: 2000, maxFiles: 3, maxPending: 1 }
`,
});
const CONFIGS = ["/_matrix/client/v1/media/config", "/_matrix/media/v3/config", "/_matrix/media/r0/config"];
const USAGES = {
  "/_matrix/media/v3/usage": "m.storage",
  "/_matrix/media/unstable/org.matrix.msc4034/usage": "org.matrix.msc4034.storage",
};

let counter = 0;
function limitedUser(): string {
  counter += 1;
  return newUser(stack().homeserver, { user_id: `@limited${counter}:example.org` });
}

for (const tier of ["origin", "edge"] as const) {
  const base = () => stack().tiers[tier];
  const user = () => newUser(stack().homeserver);

  describe(`usage and limits through the ${tier}`, () => {
    test("usage (MSC4034) counts bytes and files of the user, nothing deduplicated, deletions taken off", async () => {
      const token = user();
      const body = bytes(700);
      const first = await upload(base(), token, body);
      await upload(base(), token, body);
      await upload(base(), user(), body);
      for (const [path, prefix] of Object.entries(USAGES)) {
        const heard = await ask(base(), path, { token });
        assert.equal(heard.status, 200);
        assert.deepEqual(jsonOf(heard), { [`${prefix}.used`]: 1400, [`${prefix}.files`]: 2 });
      }
      await ask(base(), `/_matrix/media/unstable/download/${first}`, { method: "DELETE", token });
      const heard = await ask(base(), "/_matrix/media/v3/usage", { token });
      assert.deepEqual(jsonOf(heard), { "m.storage.used": 700, "m.storage.files": 1 });
    });

    test("usage of who has nothing is zero, and a reserved id is no file until it is filled", async () => {
      const token = user();
      const id = await create(base(), token);
      const path = "/_matrix/media/v3/usage";
      assert.deepEqual(jsonOf(await ask(base(), path, { token })), { "m.storage.used": 0, "m.storage.files": 0 });
      await put(base(), token, id, { body: bytes(321) });
      assert.deepEqual(jsonOf(await ask(base(), path, { token })), { "m.storage.used": 321, "m.storage.files": 1 });
    });

    test("usage needs a token, and no guest's", async () => {
      for (const path of Object.keys(USAGES)) {
        assert.equal((await ask(base(), path)).status, 401);
        const guest = await ask(base(), path, { token: "token_of_guest" });
        assert.equal(guest.status, 403);
        assert.equal(jsonOf(guest).errcode, "M_GUEST_ACCESS_FORBIDDEN");
      }
    });

    test("#64 #156 #157 config says the same on all its paths, to users only", async () => {
      const token = user();
      for (const path of CONFIGS) {
        const heard = await ask(base(), path, { token });
        assert.equal(heard.status, 200);
        assert.deepEqual(jsonOf(heard), { "m.upload.size": 5000 });
        assert.equal(jsonOf(await ask(base(), path)).errcode, "M_MISSING_TOKEN");
        assert.equal(jsonOf(await ask(base(), path, { token: "token_of_guest" })).errcode, "M_GUEST_ACCESS_FORBIDDEN");
      }
    });

    test("config tells a user with a quota of it (MSC4034)", async () => {
      assert.deepEqual(jsonOf(await ask(base(), CONFIGS[0] ?? "", { token: limitedUser() })), {
        "m.upload.size": 5000,
        "m.storage.size": 2000,
        "m.storage.max_files": 3,
        "org.matrix.msc4034.storage.size": 2000,
        "org.matrix.msc4034.storage.max_files": 3,
      });
    });

    test("#59 #79 a PUT beyond the quota is refused with 403, one within it is not", async () => {
      const token = limitedUser();
      await upload(base(), token, bytes(1_500));
      const id = await create(base(), token);
      const heard = await put(base(), token, id, { body: bytes(501) });
      assert.equal(heard.status, 403);
      assert.equal(jsonOf(heard).errcode, "M_FORBIDDEN");
      assert.equal(jsonOf(heard).mr_errcode, "M_QUOTA_EXCEEDED");
      assert.equal((await put(base(), token, id, { body: bytes(500) })).status, 200);
    });

    test("#72 create is refused with 403 where nothing more may be stored", async () => {
      const token = limitedUser();
      for (let file = 0; file < 3; file += 1) await upload(base(), token, bytes(200));
      const heard = await ask(base(), "/_matrix/media/v1/create", { method: "POST", token });
      assert.equal(heard.status, 403);
      assert.equal(jsonOf(heard).errcode, "M_FORBIDDEN");
    });

    test("#70 the quota's own limit on ids that wait holds", async () => {
      const token = limitedUser();
      await create(base(), token);
      assert.equal((await ask(base(), "/_matrix/media/v1/create", { method: "POST", token })).status, 429);
    });
  });
}
