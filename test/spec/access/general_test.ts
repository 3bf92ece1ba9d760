import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { COMMON_HEADERS } from "../../../shared/http/respond.ts";
import { type Asking, ask, type Heard, jsonOf, upload } from "../../support/http.ts";
import { requestsSeen } from "../../support/requests_seen.ts";
import { CREATE, create, newUser, put, stackForFile } from "../uploads/stage.ts";

/** Specification checklist 7.1: errors, unknown paths, methods, CORS, and what the homeserver or a store cannot do. */

const stack = stackForFile({ yaml: "uploads: { maxBytes: 5000 }\n" });
const USER = "token_of_user";
const MEDIA = "/_matrix/client/v1/media";

/** Every endpoint for clients, as a path that leads to it, with the methods it takes. */
const ENDPOINTS: readonly [string, ...string[]][] = [
  [`${MEDIA}/download/example.org/abc`, "GET", "HEAD"],
  [`${MEDIA}/download/example.org/abc/name.txt`, "GET", "HEAD"],
  [`${MEDIA}/thumbnail/example.org/abc`, "GET", "HEAD"],
  [`${MEDIA}/config`, "GET"],
  ...["r0", "v1", "v3"].flatMap((version): [string, ...string[]][] => [
    [`/_matrix/media/${version}/download/example.org/abc`, "GET", "HEAD"],
    [`/_matrix/media/${version}/thumbnail/example.org/abc`, "GET", "HEAD"],
    [`/_matrix/media/${version}/upload`, "POST"],
  ]),
  ["/_matrix/media/r0/config", "GET"],
  ["/_matrix/media/v3/config", "GET"],
  ["/_matrix/media/v1/create", "POST"],
  ["/_matrix/media/v3/upload/example.org/abc", "PUT"],
  ["/_matrix/media/v3/usage", "GET"],
  ["/_matrix/media/unstable/info/example.org/abc", "GET"],
  ["/_matrix/media/unstable/local_copy/example.org/abc", "GET"],
  ["/_matrix/media/unstable/download/example.org/abc", "DELETE"],
  ["/_matrix/media/r0/identicon/seed", "GET"],
  ["/_matrix/media/version", "GET"],
  ["/_matrix/client/versions", "GET"],
  ["/_matrix/client/r0/logout", "POST"],
  ["/_matrix/client/v3/logout", "POST"],
  ["/_matrix/client/v3/logout/all", "POST"],
];

const UNKNOWN = [
  "/_matrix",
  "/_matrix/",
  "/_matrix/nonsense",
  "/_matrix/client/v3/sync",
  "/_matrix/client/v1/media",
  "/_matrix/client/v1/media/",
  "/_matrix/client/v1/media/upload",
  "/_matrix/client/v2/media/download/example.org/abc",
  "/_matrix/media/v2/download/example.org/abc",
  "/_matrix/media/v3/create",
  "/_matrix/media/v3/nonsense",
  "/_MATRIX/media/v3/config",
  "/_matrix/media/v3/config/",
  "/_matrix//media/v3/config",
  "/_matrix/media/v3/%63onfig",
  "/_mxcdn/v1/verdict",
];

/** An error as every client can read it. */
function isError(heard: Heard, status: number, errcode: string): void {
  assert.equal(heard.status, status);
  assert.equal(heard.headers["content-type"], "application/json");
  const text = new TextDecoder("utf-8", { fatal: true }).decode(heard.body);
  const body = JSON.parse(text) as Record<string, unknown>;
  assert.equal(body.errcode, errcode);
  assert.ok(typeof body.error === "string" && body.error.length > 0);
  assert.equal(heard.headers["content-length"], String(heard.body.byteLength));
  assert.equal(heard.headers["cache-control"], "no-store");
  for (const [name, value] of Object.entries(COMMON_HEADERS)) assert.equal(heard.headers[name], value, name);
}

for (const tier of ["origin", "edge"] as const) {
  const base = () => stack().tiers[tier];
  const asked = (path: string, asking: Asking = {}) => ask(base(), path, asking);

  describe(`through the ${tier}`, () => {
    test("#1 #2 #3 #7 #101 #102 errors of every status are JSON of errcode and error, with all common headers", async () => {
      const token = newUser(stack().homeserver);
      const id = await upload(base(), token, "words ".repeat(50));
      const reserved = await create(base(), token);
      await put(base(), token, reserved);
      const range = { range: "bytes=900-" };
      const cases: [string, Asking, number, string][] = [
        [`${MEDIA}/thumbnail/${id}?width=1&height=1&method=a`, { token }, 400, "M_INVALID_PARAM"],
        [`${MEDIA}/thumbnail/${id}?width=1`, { token }, 400, "M_MISSING_PARAM"],
        [`${MEDIA}/thumbnail/${id}?width=1&height=1`, { token }, 400, "M_UNKNOWN"],
        [`${MEDIA}/download/${id}`, {}, 401, "M_MISSING_TOKEN"],
        [`${MEDIA}/download/${id}`, { token: "nobody" }, 401, "M_UNKNOWN_TOKEN"],
        [
          "/_matrix/media/v3/upload",
          { method: "POST", body: "x", token: "token_of_guest" },
          403,
          "M_GUEST_ACCESS_FORBIDDEN",
        ],
        [`/_matrix/media/unstable/download/${id}`, { method: "DELETE", token: USER }, 403, "M_FORBIDDEN"],
        [`${MEDIA}/download/example.org/nothing`, { token }, 404, "M_NOT_FOUND"],
        [`${MEDIA}/nonsense`, { token }, 404, "M_UNRECOGNIZED"],
        [`${MEDIA}/config`, { method: "POST", token }, 405, "M_UNRECOGNIZED"],
        [
          `/_matrix/media/v3/upload/${reserved}`,
          { method: "PUT", body: "x".repeat(200), token },
          409,
          "M_CANNOT_OVERWRITE_MEDIA",
        ],
        ["/_matrix/media/v3/upload", { method: "POST", body: "x".repeat(6000), token }, 413, "M_TOO_LARGE"],
        [`${MEDIA}/download/${id}`, { token, headers: range }, 416, "M_UNKNOWN"],
        [`${MEDIA}/download/${await create(base(), token)}?timeout_ms=1`, { token }, 504, "M_NOT_YET_UPLOADED"],
      ];
      for (const [path, asking, status, errcode] of cases) {
        isError(await asked(path, asking), status, errcode);
      }
    });

    test("#2 #3 #7 successes are application/json as well, and empty objects are objects", async () => {
      const token = newUser(stack().homeserver);
      const own = await upload(base(), token, "mine ".repeat(50), { name: "ключ.txt" });
      const cases: [string, Asking][] = [
        ["/_matrix/media/v3/upload", { method: "POST", token, body: "x".repeat(200) }],
        [CREATE, { method: "POST", token, body: '{"ключ":"🐔"}' }],
        [`/_matrix/media/v3/upload/${await create(base(), token)}`, { method: "PUT", token, body: "x".repeat(200) }],
        [`${MEDIA}/config`, { token }],
        ["/_matrix/media/v3/usage", { token }],
        ["/_matrix/media/version", {}],
        ["/_matrix/client/versions", {}],
        [`/_matrix/media/unstable/info/${own}`, { token }],
        [`/_matrix/media/unstable/download/${own}`, { method: "DELETE", token }],
        ["/healthz", {}],
        ["/_matrix/client/v3/logout", { method: "POST", token, body: "" }],
      ];
      for (const [path, asking] of cases) {
        const heard = await asked(path, asking);
        assert.equal(heard.status, 200, `${path}: ${heard.body}`);
        assert.equal(heard.headers["content-type"], "application/json", path);
        const text = new TextDecoder("utf-8", { fatal: true }).decode(heard.body);
        assert.equal(typeof JSON.parse(text), "object");
        for (const [name, value] of Object.entries(COMMON_HEADERS)) assert.equal(heard.headers[name], value, name);
      }
    });

    test("#3 a JSON body that is not UTF-8, or no object, is 400", async () => {
      const token = newUser(stack().homeserver);
      const latin1 = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xe9]), Buffer.from('"}')]);
      isError(await asked(CREATE, { method: "POST", token, body: latin1 }), 400, "M_NOT_JSON");
      isError(await asked(CREATE, { method: "POST", token, body: "[]" }), 400, "M_BAD_JSON");
    });

    test("#4 unknown paths are 404 M_UNRECOGNIZED, whatever the method and whoever asks", async () => {
      for (const path of UNKNOWN) {
        for (const method of ["GET", "POST", "PUT", "DELETE"]) {
          isError(await asked(path, { method, token: USER }), 404, "M_UNRECOGNIZED");
        }
      }
    });

    test("#5 known paths with another method are 405 M_UNRECOGNIZED, before anybody is asked who it is", async () => {
      for (const [path, ...methods] of ENDPOINTS) {
        for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "PROPFIND", "TRACE"]) {
          if (methods.includes(method)) continue;
          const heard = await asked(path, { method });
          assert.equal(heard.status, 405, `${method} ${path}`);
          if (method !== "HEAD") isError(heard, 405, "M_UNRECOGNIZED");
        }
      }
    });

    test("#6 #8 #9 OPTIONS is answered on every endpoint with the CORS headers, and nothing happens", async () => {
      const token = newUser(stack().homeserver);
      const { homeserver, origin } = stack();
      const reserved = await create(base(), token);
      const paths = [
        ...ENDPOINTS.map(([path]) => path),
        `/_matrix/media/v3/upload/${reserved}`,
        ...UNKNOWN,
        "/healthz",
      ];
      const before = { asked: homeserver.asked.length, seen: await requestsSeen(origin.app.metrics) };
      for (const path of paths) {
        for (const headers of [{}, { authorization: "Bearer nobody" }, { "access-control-request-method": "PUT" }]) {
          const heard = await asked(path, { method: "OPTIONS", headers });
          assert.equal(heard.status, 204, path);
          assert.equal(heard.body.byteLength, 0);
          const list = (name: string) => (heard.headers[name] ?? "").split(/, */);
          for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]) {
            assert.ok(list("access-control-allow-methods").includes(method), method);
          }
          for (const name of ["X-Requested-With", "Content-Type", "Authorization"]) {
            assert.ok(list("access-control-allow-headers").includes(name), name);
          }
          assert.equal(heard.headers["access-control-allow-origin"], "*");
        }
      }
      assert.equal(homeserver.asked.length, before.asked, "the homeserver was not asked");
      assert.equal(await requestsSeen(origin.app.metrics), before.seen, "no endpoint has seen a request");
      assert.equal((await put(base(), token, reserved)).status, 200, "the reserved id was left alone");
    });

    test("#13 #14 a limit of the homeserver's own is passed on with what a client needs to know of it", async () => {
      const { homeserver } = stack();
      const bodies = [
        { errcode: "M_RESOURCE_LIMIT_EXCEEDED", error: "Too many users", admin_contact: "mailto:a@example.org" },
        { errcode: "M_USER_LIMIT_EXCEEDED", error: "Full", info_uri: "https://example.org/plans", can_upgrade: true },
      ];
      try {
        for (const body of bodies) {
          homeserver.answer = { status: 403, body };
          const heard = await asked(`${MEDIA}/config`, { token: newUser(homeserver) });
          isError(heard, 403, body.errcode);
          const { mr_errcode: _, ...told } = jsonOf(heard);
          assert.deepEqual(told, body);
        }
      } finally {
        homeserver.answer = undefined;
      }
    });
  });
}
