import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ask, jsonOf } from "../../support/http.ts";
import { askChunked, CREATE, create, newUser, put, SERVER, stackForFile } from "./stage.ts";

const MAX_AGE_S = 3_600;
const stack = stackForFile({ yaml: `uploads: { maxPending: 3, maxAgeSeconds: ${MAX_AGE_S} }` });

for (const tier of ["origin", "edge"] as const) {
  const base = () => stack().tiers[tier];
  const user = () => newUser(stack().homeserver);

  describe(`create through the ${tier}`, () => {
    test("#65 #66 returns an id of the user's server, and when it expires in milliseconds", async () => {
      const before = Date.now();
      const heard = await ask(base(), CREATE, { method: "POST", token: user() });
      const after = Date.now();
      assert.equal(heard.status, 200, heard.body.toString());
      assert.equal(heard.headers["content-type"], "application/json");
      const { content_uri, unused_expires_at, ...rest } = jsonOf(heard);
      assert.match(String(content_uri), new RegExp(`^mxc://${SERVER}/[A-Za-z0-9_-]{20,}$`));
      const expiresAt = Number(unused_expires_at);
      assert.ok(Number.isInteger(expiresAt));
      assert.ok(expiresAt >= before + MAX_AGE_S * 1000 && expiresAt <= after + MAX_AGE_S * 1000, `${expiresAt}`);
      assert.deepEqual(rest, {});
    });

    test("#68 accepts no body, an empty body, {} and objects with keys of any kind", async () => {
      for (const body of [undefined, "", "{}", ' {"later":[1,{"a":null}]} ']) {
        const heard = await ask(base(), CREATE, { method: "POST", token: user(), body });
        assert.equal(heard.status, 200, `${body}: ${heard.body}`);
      }
    });

    test("refuses a body that is no JSON, or no object", async () => {
      const cases = {
        "{": "M_NOT_JSON",
        "\xff": "M_NOT_JSON",
        " ": "M_NOT_JSON",
        "[]": "M_BAD_JSON",
        null: "M_BAD_JSON",
      };
      for (const [text, errcode] of Object.entries(cases)) {
        const body = Buffer.from(text, "latin1");
        const heard = await ask(base(), CREATE, { method: "POST", token: user(), body });
        assert.equal(heard.status, 400, text);
        assert.equal(jsonOf(heard).errcode, errcode, text);
      }
    });

    test("refuses a body that is too large, whether or not its length is announced", async () => {
      const body = Buffer.alloc(1_000_000, " ");
      for (const send of [ask, askChunked]) {
        const heard = await send(base(), CREATE, { method: "POST", token: user(), body });
        assert.equal(heard.status, 413);
        assert.equal(jsonOf(heard).errcode, "M_TOO_LARGE");
      }
    });

    test("#70 refuses more than maxPending ids of one user that wait, with the time until the first expires", async () => {
      const token = user();
      for (let i = 0; i < 3; i += 1) await create(base(), token);
      const heard = await ask(base(), CREATE, { method: "POST", token });
      assert.equal(heard.status, 429);
      assert.equal(jsonOf(heard).errcode, "M_LIMIT_EXCEEDED");
      const seconds = Number(heard.headers["retry-after"]);
      assert.ok(seconds > MAX_AGE_S - 60 && seconds <= MAX_AGE_S, `${seconds}`);
      const ms = Number(jsonOf(heard).retry_after_ms);
      assert.ok(ms > (MAX_AGE_S - 60) * 1000 && ms <= MAX_AGE_S * 1000, `${ms}`);
      await create(base(), user());
    });

    test("#70 holds the limit when all ids are asked for at once", async () => {
      const token = user();
      const asked = Array.from({ length: 12 }, () => ask(base(), CREATE, { method: "POST", token }));
      const statuses = (await Promise.all(asked)).map((heard) => heard.status).sort();
      assert.deepEqual(statuses, [200, 200, 200, ...Array(9).fill(429)]);
    });

    test("#71 counts completed ids no longer", async () => {
      const token = user();
      const ids = [await create(base(), token), await create(base(), token), await create(base(), token)];
      assert.equal((await put(base(), token, ids[1] ?? "")).status, 200);
      await create(base(), token);
      assert.equal((await ask(base(), CREATE, { method: "POST", token })).status, 429);
    });

    test("#29 #32 needs a token", async () => {
      const heard = await ask(base(), CREATE, { method: "POST" });
      assert.equal(heard.status, 401);
      assert.equal(jsonOf(heard).errcode, "M_MISSING_TOKEN");
    });

    test("#41 refuses guests", async () => {
      const heard = await ask(base(), CREATE, { method: "POST", token: "token_of_guest" });
      assert.equal(heard.status, 403);
      assert.equal(jsonOf(heard).errcode, "M_GUEST_ACCESS_FORBIDDEN");
    });

    test("#38 #39 refuses suspended users where the homeserver tells", async () => {
      const { homeserver } = stack();
      homeserver.answer = { status: 403, body: { errcode: "M_USER_SUSPENDED", error: "Suspended" } };
      try {
        const heard = await ask(base(), CREATE, { method: "POST", token: user() });
        assert.equal(heard.status, 403);
        assert.equal(jsonOf(heard).errcode, "M_USER_SUSPENDED");
      } finally {
        homeserver.answer = undefined;
      }
    });

    test("answers under its unstable name too", async () => {
      const path = "/_matrix/media/unstable/fi.mau.msc2246/create";
      const heard = await ask(base(), path, { method: "POST", token: user(), body: "{}" });
      assert.equal(heard.status, 200);
      assert.match(String(jsonOf(heard).content_uri), /^mxc:/);
    });

    test("#5 answers other methods with 405", async () => {
      for (const method of ["GET", "PUT", "DELETE"]) {
        const heard = await ask(base(), CREATE, { method, token: user() });
        assert.equal(heard.status, 405, method);
        assert.equal(jsonOf(heard).errcode, "M_UNRECOGNIZED");
      }
    });
  });
}
