import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { startStack, type TestStack } from "../../support/app.ts";
import { type Asking, ask, type Heard, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { create, download, newUser } from "../uploads/stage.ts";

/** Specification checklist 7.3: who may use which endpoint, and what becomes of a homeserver's word on a token. */

const lifetime = lifetimeOfSuite();
let stack: TestStack;
before(async () => {
  stack = await startStack(lifetime, { yaml: `admins: ["@admin:example.org"]\n` });
});

const GUEST = "token_of_guest";
const DAMAGED = "example.org/%2e%zz";

/** Every endpoint that needs a token: method, path, whether guests may use it. What stands behind the path is nonsense. */
const WITH_TOKEN: readonly [string, string, boolean][] = [
  ["GET", `/_matrix/client/v1/media/download/${DAMAGED}`, true],
  ["HEAD", `/_matrix/client/v1/media/download/${DAMAGED}`, true],
  ["GET", `/_matrix/client/v1/media/download/${DAMAGED}/name`, true],
  ["GET", `/_matrix/client/v1/media/thumbnail/${DAMAGED}?width=-1&method=evil&timeout_ms=x`, true],
  ["GET", "/_matrix/client/v1/media/config", false],
  ["GET", "/_matrix/media/v3/config", false],
  ["GET", "/_matrix/media/r0/config", false],
  ["POST", "/_matrix/media/v3/upload", false],
  ["POST", "/_matrix/media/r0/upload", false],
  ["POST", "/_matrix/media/v1/create", false],
  ["PUT", `/_matrix/media/v3/upload/${DAMAGED}`, false],
  ["GET", "/_matrix/media/v3/usage", false],
  ["GET", `/_matrix/media/unstable/info/${DAMAGED}`, false],
  ["GET", `/_matrix/media/unstable/local_copy/${DAMAGED}`, false],
  ["DELETE", `/_matrix/media/unstable/download/${DAMAGED}`, false],
  ["POST", "/_matrix/client/v3/logout", true],
  ["POST", "/_matrix/client/v3/logout/all", true],
];

for (const tier of ["origin", "edge"] as const) {
  const base = () => stack.tiers[tier];
  const asked = (path: string, asking: Asking = {}) => ask(base(), path, asking);
  const refused = (heard: Heard, status: number, errcode: string, what = "") => {
    assert.equal(heard.status, status, what);
    if (heard.body.byteLength > 0) assert.equal(jsonOf(heard).errcode, errcode, what);
  };
  /** The homeserver answers every question with this while `work` runs. */
  const whileAnswering = async (answer: TestStack["homeserver"]["answer"], work: () => Promise<void>) => {
    stack.homeserver.answer = answer;
    try {
      await work();
    } finally {
      stack.homeserver.answer = undefined;
    }
  };

  describe(`through the ${tier}`, () => {
    test("#28 #29 #30 #32 #51 no token: 401 M_MISSING_TOKEN, whatever else is wrong", async () => {
      for (const [method, path] of WITH_TOKEN) {
        const body = method === "PUT" || method === "POST" ? "" : undefined;
        refused(await asked(path, { method, body }), 401, "M_MISSING_TOKEN", `${method} ${path}`);
      }
    });

    test("#33 #51 an unknown token: 401 M_UNKNOWN_TOKEN, whatever else is wrong", async () => {
      for (const [method, path] of WITH_TOKEN) {
        const body = method === "PUT" || method === "POST" ? "" : undefined;
        const heard = await asked(path, { method, body, token: "nobody's" });
        refused(heard, 401, "M_UNKNOWN_TOKEN", `${method} ${path}`);
      }
    });

    test("#40 #41 guests may download and see thumbnails, and nothing else: 403, whatever else is wrong", async () => {
      for (const [method, path, forGuests] of WITH_TOKEN) {
        if (path.includes("logout")) continue;
        const body = method === "PUT" || method === "POST" ? "" : undefined;
        const heard = await asked(path, { method, body, token: GUEST });
        if (forGuests) assert.equal(heard.status, 400, `${method} ${path}`);
        else refused(heard, 403, "M_GUEST_ACCESS_FORBIDDEN", `${method} ${path}`);
      }
      const id = await upload(base(), "token_of_user", "words ".repeat(50));
      for (const path of [download(id), `${download(id)}/name.txt`]) {
        assert.equal((await asked(path, { token: GUEST })).status, 200);
      }
    });

    test("#34 the token is taken from Authorization: Bearer, in any case, and from nothing like it", async () => {
      const token = newUser(stack.homeserver);
      for (const authorization of [`Bearer ${token}`, `bearer ${token}`, `BEARER   ${token}`]) {
        const heard = await asked("/_matrix/client/v1/media/config", { headers: { authorization } });
        assert.equal(heard.status, 200, authorization);
      }
      for (const authorization of [
        token,
        `Bearer${token}`,
        `Token ${token}`,
        `Basic ${token}`,
        "Bearer",
        `Bearer ${token} x`,
      ]) {
        const heard = await asked("/_matrix/client/v1/media/config", { headers: { authorization } });
        refused(heard, 401, "M_MISSING_TOKEN", authorization);
      }
    });

    test("#35 the token is taken from the query too, but a header counts more, of whatever scheme", async () => {
      const token = newUser(stack.homeserver);
      const path = `/_matrix/client/v1/media/config?access_token=${token}`;
      assert.equal((await asked(path)).status, 200);
      refused(await asked(path, { token: "nobody's" }), 401, "M_UNKNOWN_TOKEN");
      refused(await asked(path, { headers: { authorization: "X-Matrix origin=a" } }), 401, "M_MISSING_TOKEN");
    });

    test("#36 #37 what a homeserver says of a token reaches the client unchanged", async () => {
      const id = await upload(base(), "token_of_user", "words ".repeat(50));
      const says: [number, Record<string, unknown>][] = [
        [401, { errcode: "M_UNKNOWN_TOKEN", error: "Soft logged out", soft_logout: true }],
        [401, { errcode: "M_UNKNOWN_TOKEN", error: "Logged out", soft_logout: false }],
        [401, { errcode: "M_USER_LOCKED", error: "This account has been locked", soft_logout: true }],
        [403, { errcode: "M_USER_DEACTIVATED", error: "This account is deactivated" }],
        [403, { errcode: "M_CONSENT_NOT_GIVEN", error: "Agree first", consent_uri: "https://example.org/terms" }],
        [429, { errcode: "M_LIMIT_EXCEEDED", error: "Slowly", retry_after_ms: 1500 }],
      ];
      for (const [status, body] of says) {
        await whileAnswering({ status, body }, async () => {
          for (const path of [download(id), "/_matrix/client/v1/media/config"]) {
            const heard = await asked(path, { token: newUser(stack.homeserver) });
            assert.equal(heard.status, status, String(body.errcode));
            const { mr_errcode: _, ...told } = jsonOf(heard);
            // Which limit it was is said of every limit.
            assert.deepEqual(told, status === 429 ? { ...body, limit: "homeserver" } : body);
            assert.equal(heard.headers["retry-after"], status === 429 ? "2" : undefined);
          }
        });
      }
    });

    test("#38 #39 suspended users get 403 M_USER_SUSPENDED on every way to upload, where the homeserver tells", async () => {
      const token = newUser(stack.homeserver);
      const reserved = await create(base(), token);
      const body = { errcode: "M_USER_SUSPENDED", error: "You are suspended" };
      // Another token, because a judged one is remembered.
      const again = newUser(stack.homeserver, { user_id: stack.homeserver.accounts.get(token)?.user_id ?? "" });
      await whileAnswering({ status: 403, body }, async () => {
        for (const [method, path] of [
          ["POST", "/_matrix/media/v3/upload"],
          ["POST", "/_matrix/media/v1/create"],
          ["PUT", `/_matrix/media/v3/upload/${reserved}`],
        ] as const) {
          refused(await asked(path, { method, token: again, body: "x".repeat(200) }), 403, "M_USER_SUSPENDED", path);
        }
      });
    });

    test("#46 tokens are opaque: of any alphabet that a header can carry, up to 1,024 characters", async () => {
      const tokens = [
        "t",
        "syt_dXNlcg_AbCdEfGhIjKlMnOpQrSt_0123456",
        "mat_aBcDeF_12345",
        `eyJhbGciOiJSUzI1NiJ9.${"e30".repeat(200)}.${"s-_".repeat(100)}`,
        "a+b/c==~!*'();:@&=$,?#[]%20",
        "x".repeat(1024),
      ];
      for (const token of tokens) {
        stack.homeserver.accounts.set(token, { user_id: "@opaque:example.org" });
        const heard = await asked("/_matrix/client/v1/media/config", { token });
        assert.equal(heard.status, 200, `${token.slice(0, 50)}: ${heard.body}`);
      }
    });

    test("#15 #48 a homeserver that gives no answer of its own is 503 with Retry-After, never 401 or 404", async () => {
      const id = await upload(base(), "token_of_user", "words ".repeat(50));
      const trouble: NonNullable<TestStack["homeserver"]["answer"]>[] = [
        { status: 500, body: { errcode: "M_UNKNOWN", error: "Internal" } },
        { status: 502, body: "bad gateway" },
        { status: 404, body: "<html>", headers: { "content-type": "text/html" } },
        { status: 401, body: "a proxy's login page", headers: { "content-type": "text/html" } },
        { status: 200, body: "no object" },
        { status: 200, body: {} },
        { status: 200, body: { user_id: "no user id" } },
        { status: 301, body: {}, headers: { location: "https://example.org/" } },
      ];
      for (const answer of trouble) {
        await whileAnswering(answer, async () => {
          for (const path of [download(id), "/_matrix/client/v1/media/config"]) {
            const heard = await asked(path, { token: newUser(stack.homeserver) });
            refused(heard, 503, "M_UNKNOWN", JSON.stringify(answer));
            assert.match(heard.headers["retry-after"] ?? "", /^[0-9]+$/);
          }
        });
      }
      // The homeserver is left alone after so many failures in a row; what follows must find it well.
      const deadline = Date.now() + 8_000;
      for (;;) {
        const heard = await asked("/_matrix/client/v1/media/config", { token: newUser(stack.homeserver) });
        if (heard.status === 200) break;
        assert.ok(Date.now() < deadline, "still left alone");
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    });

    test("#50 who deletes is judged before what is deleted is looked for", async () => {
      const id = await upload(base(), "token_of_user", "words ".repeat(50));
      for (const path of [id, "example.org/nothing", "example.org/%zz"]) {
        const asking = { method: "DELETE" };
        const target = `/_matrix/media/unstable/download/${path}`;
        refused(await asked(target, asking), 401, "M_MISSING_TOKEN");
        refused(await asked(target, { ...asking, token: "nobody's" }), 401, "M_UNKNOWN_TOKEN");
        refused(await asked(target, { ...asking, token: GUEST }), 403, "M_GUEST_ACCESS_FORBIDDEN");
      }
      refused(
        await asked(`/_matrix/media/unstable/download/${id}`, { method: "DELETE", token: "token_of_other" }),
        403,
        "M_FORBIDDEN",
      );
    });

    test("#224 neither a cookie nor a referrer nor an address is a token", async () => {
      const id = await upload(base(), "token_of_user", "words ".repeat(50));
      const claims = [
        { cookie: "access_token=token_of_user" },
        { referer: "https://example.org/?access_token=token_of_user" },
        { "x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1" },
        { "x-access-token": "token_of_user" },
        { "proxy-authorization": "Bearer token_of_user" },
      ];
      for (const headers of claims) refused(await asked(download(id), { headers }), 401, "M_MISSING_TOKEN");
    });
  });
}
