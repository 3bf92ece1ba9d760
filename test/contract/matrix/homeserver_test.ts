import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { afterEach, beforeEach, test } from "node:test";
import { Homeserver } from "../../../origin/matrix/homeserver/homeserver.ts";
import { makeSafeFetch } from "../../../origin/net/safe_fetch.ts";
import { toMatrixError } from "../../../shared/http/failure_answer.ts";
import type { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { type Listener, listen } from "../../support/listener.ts";

const credentials = { token: "secret" };
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let listener: Listener;
let homeserver: Homeserver;
/** The same, with next to no patience. */
let hasty: Homeserver;
let nowMs: number;
let close: () => Promise<void>;

beforeEach(async () => {
  nowMs = 1_700_000_000_000;
  listener = await listen((request, response) => answer(request, response));
  // The guard forbids everything: what stands in the configuration may be private.
  const safeFetch = makeSafeFetch({ allows: () => false, addresses: async () => [], userAgent: "mxcdn" });
  const make = (timeoutMs: number) =>
    new Homeserver({
      csApi: `http://127.0.0.1:${listener.port}/`,
      serverName: "hs.example",
      backoffAt: 3,
      timeoutMs,
      safeFetch,
      clock: () => nowMs,
      steady: () => nowMs,
    });
  homeserver = make(30_000);
  hasty = make(300);
  close = async () => {
    await safeFetch.close();
    await listener.close();
  };
});
afterEach(() => close());

const json = (status: number, body: unknown, headers: Record<string, string> = {}) => {
  answer = (_, response) =>
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
};

/** What the client is told. */
async function errorOf(work: Promise<unknown>): Promise<MatrixError> {
  const error = await work.then(
    () => assert.fail("it succeeded"),
    (thrown) => thrown,
  );
  return toMatrixError(error);
}

test("whoami tells user, device and guest, by the stable and the unstable flag", async () => {
  json(200, { user_id: "@a:hs.example", device_id: "D", is_guest: true });
  assert.deepEqual(await homeserver.whoami(credentials), { userId: "@a:hs.example", deviceId: "D", isGuest: true });
  json(200, { user_id: "@a:hs.example", "org.matrix.msc3069.is_guest": true });
  assert.deepEqual(await homeserver.whoami(credentials), { userId: "@a:hs.example", isGuest: true });
  json(200, { user_id: "@a:hs.example", device_id: null, more: 1 });
  assert.deepEqual(await homeserver.whoami(credentials), { userId: "@a:hs.example", isGuest: false });
});

test("whoami passes on token, asserted identity and client address", async () => {
  let headers: IncomingMessage["headers"] = {};
  answer = (request, response) => {
    headers = request.headers;
    response.end('{"user_id":"@b:hs.example"}');
  };
  await homeserver.whoami({ token: "t", userId: "@b&c:hs.example", deviceId: "D E" }, { clientAddress: "2001:db8::7" });
  const path =
    "/_matrix/client/v3/account/whoami?user_id=%40b%26c%3Ahs.example&device_id=D+E&org.matrix.msc3202.device_id=D+E";
  assert.equal(listener.asked[0], `GET 127.0.0.1:${listener.port} ${path}`);
  assert.equal(headers.authorization, "Bearer t");
  assert.equal(headers["x-forwarded-for"], "2001:db8::7");
  assert.equal(headers["user-agent"], "mxcdn");
});

test("refusals keep status, code, text and soft_logout", async () => {
  const refusals: [number, Record<string, unknown>][] = [
    [401, { errcode: "M_UNKNOWN_TOKEN", error: "Expired", soft_logout: true }],
    [401, { errcode: "M_UNKNOWN_TOKEN", error: "Gone", soft_logout: false }],
    [401, { errcode: "M_UNKNOWN_TOKEN", error: "Gone" }],
    [401, { errcode: "M_USER_LOCKED", error: "Locked", soft_logout: true }],
    [403, { errcode: "M_FORBIDDEN", error: "Not yours" }],
    [403, { errcode: "M_CONSENT_NOT_GIVEN", error: "Consent", consent_uri: "https://hs.example/consent" }],
    [400, { errcode: "M_UNKNOWN_DEVICE", error: "No such device" }],
  ];
  for (const [status, body] of refusals) {
    json(status, body);
    const error = await errorOf(homeserver.whoami(credentials));
    assert.equal(error.status, status);
    const { mr_errcode: _, ...told } = error.toBody();
    assert.deepEqual(told, body);
  }
});

test("a rate limit passes on the waiting time, from header or body, and at most an hour of it", async () => {
  const limited = { errcode: "M_LIMIT_EXCEEDED", error: "Slow down" };
  const cases: [Record<string, string>, object, number][] = [
    [{ "retry-after": "7" }, { retry_after_ms: 1 }, 7000],
    [{ "retry-after": new Date(nowMs + 9000).toUTCString() }, {}, 9000],
    [{}, { retry_after_ms: 1234 }, 1234],
    [{ "retry-after": "soon" }, { retry_after_ms: "later" }, 2000],
    [{ "retry-after": "99999999" }, {}, 3_600_000],
    [{}, {}, 2000],
  ];
  for (const [headers, body, expected] of cases) {
    json(429, { ...limited, ...body }, headers);
    const error = await errorOf(homeserver.whoami(credentials));
    assert.deepEqual([error.status, error.errcode, error.retryAfterMs], [429, "M_LIMIT_EXCEEDED", expected]);
    assert.equal(error.toBody().limit, "homeserver");
  }
});

test("a refusal's text is bounded, and unknown codes become known ones that log nobody out", async () => {
  json(401, { errcode: "ORG.EXAMPLE", error: `a\r\nb${"x".repeat(5000)}` });
  const error = await errorOf(homeserver.whoami(credentials));
  assert.deepEqual([error.status, error.errcode, error.message.length], [401, "M_UNKNOWN", 200]);
  assert.ok(error.message.startsWith("a b"));
  json(403, { errcode: "ORG.EXAMPLE", error: { not: "text" } });
  assert.equal((await errorOf(homeserver.whoami(credentials))).errcode, "M_FORBIDDEN");
});

test("whatever is no answer of a homeserver is 503 with a time to retry, never 401", async () => {
  const outages: [string, typeof answer][] = [
    ["500", (_, response) => response.writeHead(500).end('{"errcode":"M_UNKNOWN_TOKEN","error":"x"}')],
    ["502 of a proxy", (_, response) => response.writeHead(502).end("<html>")],
    ["401 of a proxy", (_, response) => response.writeHead(401).end("<html>")],
    ["404 of a proxy", (_, response) => response.writeHead(404).end("not found")],
    ["403 without errcode", (_, response) => response.writeHead(403).end("{}")],
    ["redirect", (_, response) => response.writeHead(302, { location: "/login" }).end()],
    ["200 not JSON", (_, response) => response.end("hello")],
    ["200 without user", (_, response) => response.end("{}")],
    ["200 with nonsense", (_, response) => response.end('{"user_id":7}')],
    ["200 with an array", (_, response) => response.end("[]")],
    ["too long", (_, response) => response.end(JSON.stringify({ user_id: "@a:b", x: "y".repeat(300_000) }))],
    ["closed", (request) => request.socket.destroy()],
  ];
  for (const [name, outage] of outages) {
    answer = outage;
    const error = await errorOf(homeserver.whoami(credentials));
    assert.deepEqual([error.status, error.errcode], [503, "M_UNKNOWN"], name);
    assert.ok((error.retryAfterMs ?? 0) > 0, name);
    assert.ok(!error.message.includes("127.0.0.1"));
    nowMs += 120_000;
    json(200, { user_id: "@a:hs.example" });
    await homeserver.whoami(credentials);
  }
});

test("silence is 503 with a time to retry, too", async () => {
  answer = () => {};
  const error = await errorOf(hasty.whoami(credentials));
  assert.deepEqual([error.status, error.errcode], [503, "M_UNKNOWN"]);
  assert.ok((error.retryAfterMs ?? 0) > 0);
});

test("a homeserver that is down is left alone after backoffAt failures, and asked again by one", async () => {
  answer = (_, response) => response.writeHead(503).end();
  for (let round = 0; round < 3; round += 1) await errorOf(homeserver.whoami(credentials));
  const error = await errorOf(homeserver.whoami(credentials));
  assert.deepEqual([error.status, error.retryAfterMs], [503, 500]);
  assert.equal(listener.asked.length, 3);
  nowMs += 500;
  answer = (_, response) => setTimeout(() => response.end('{"user_id":"@a:hs.example"}'), 20);
  const together = await Promise.allSettled(Array.from({ length: 5 }, () => homeserver.whoami(credentials)));
  assert.deepEqual(together.map((one) => one.status).sort(), [
    "fulfilled",
    "rejected",
    "rejected",
    "rejected",
    "rejected",
  ]);
  assert.equal(listener.asked.length, 4);
  await homeserver.whoami(credentials);
});

test("what one question brings about keeps nobody else from being asked about", async () => {
  const page = (status: number): typeof answer => {
    return (_, response) => response.writeHead(status, { "content-type": "text/html" }).end("<html>Bad Request</html>");
  };
  const answers: [string, typeof answer][] = [
    ...[400, 401, 403, 404, 405, 413, 414, 422, 431].map((status): [string, typeof answer] => [
      `${status}`,
      page(status),
    ]),
    ["another user's name", (_, response) => response.end('{"user_id":"@a:other.example"}')],
    ["no user's name", (_, response) => response.end('{"user_id":"nobody"}')],
    ["too long", (_, response) => response.end("x".repeat(300_000))],
    ["compressed", (_, response) => response.writeHead(400, { "content-encoding": "gzip" }).end("x")],
  ];
  for (const [name, unusable] of answers) {
    answer = unusable;
    for (let round = 0; round < 5; round += 1) {
      const error = await errorOf(homeserver.whoami(credentials));
      assert.deepEqual([error.status, error.errcode], [503, "M_UNKNOWN"], name);
    }
    json(200, { user_id: "@a:hs.example" });
    assert.equal((await homeserver.whoami(credentials)).userId, "@a:hs.example", name);
  }
});

test("a homeserver that is overloaded is left alone, whoever says so", async () => {
  for (const status of [408, 429]) {
    answer = (_, response) => response.writeHead(status).end("<html>");
    for (let round = 0; round < 3; round += 1) await errorOf(homeserver.whoami(credentials));
    const asked = listener.asked.length;
    assert.equal((await errorOf(homeserver.whoami(credentials))).status, 503);
    assert.equal(listener.asked.length, asked);
    nowMs += 120_000;
    json(200, { user_id: "@a:hs.example" });
    await homeserver.whoami(credentials);
  }
});

test("a refusal of any status is a refusal", async () => {
  json(413, { errcode: "M_TOO_LARGE", error: "no" });
  assert.equal((await errorOf(homeserver.whoami(credentials))).status, 413);
});

test("refusals and the caller's own giving up are no failures of the homeserver", async () => {
  json(401, { errcode: "M_UNKNOWN_TOKEN", error: "no" });
  for (let round = 0; round < 10; round += 1) await errorOf(homeserver.whoami(credentials));
  answer = () => {};
  for (let round = 0; round < 5; round += 1) {
    const error = await errorOf(homeserver.whoami(credentials, { signal: AbortSignal.timeout(5) }));
    assert.equal(error.status, 503);
  }
  json(200, { user_id: "@a:hs.example" });
  await homeserver.whoami(credentials);
});

test("a question that cannot be sent says nothing of the homeserver", async () => {
  json(200, { user_id: "@a:hs.example" });
  for (const token of ["\u20ac", "a\nb", "a\0b", "\u20ac", "a\nb"]) {
    assert.equal((await errorOf(homeserver.whoami({ token }))).status, 503);
  }
  assert.deepEqual(listener.asked, []);
  assert.equal((await homeserver.whoami(credentials)).userId, "@a:hs.example");
});

test("logout ends one session or all, and says so when it did not", async () => {
  json(200, {});
  await homeserver.logout(credentials, { all: false });
  await homeserver.logout({ token: "t", userId: "@b:hs.example" }, { all: true, clientAddress: "1.2.3.4" });
  const host = `127.0.0.1:${listener.port}`;
  assert.deepEqual(listener.asked, [
    `POST ${host} /_matrix/client/v3/logout`,
    `POST ${host} /_matrix/client/v3/logout/all?user_id=%40b%3Ahs.example`,
  ]);
  json(401, { errcode: "M_UNKNOWN_TOKEN", error: "no" });
  assert.equal((await errorOf(homeserver.logout(credentials, { all: false }))).status, 401);
});

test("versions keeps what has the right type", async () => {
  json(200, { versions: ["r0.6.1", 7, "v1.11"], unstable_features: { a: true, b: "yes", c: false }, server: {} });
  assert.deepEqual(await homeserver.versions(), {
    versions: ["r0.6.1", "v1.11"],
    unstable_features: { a: true, c: false },
  });
  json(200, { versions: [] });
  assert.deepEqual(await homeserver.versions(credentials), { versions: [], unstable_features: {} });
  json(200, {});
  assert.equal((await errorOf(homeserver.versions())).status, 503);
});

test("a homeserver speaks for its own users only, and is not taken to be down when it does not", async () => {
  for (const userId of [
    "@root:other.example",
    "@a:nohs.example",
    "@a:hs.example:8448",
    "@a:other.example:hs.example",
  ]) {
    json(200, { user_id: userId });
    for (let round = 0; round < 3; round += 1) {
      const error = await errorOf(homeserver.whoami(credentials));
      assert.deepEqual([error.status, error.errcode], [503, "M_UNKNOWN"]);
      assert.match(String(error.cause), /hs\.example says .*csApi/);
      assert.ok(!JSON.stringify(error.toBody()).includes(userId));
    }
  }
  json(200, { user_id: "@a:hs.example" });
  assert.equal((await homeserver.whoami(credentials)).userId, "@a:hs.example");
});

test("an administrator is who may look at a user that does not exist", async () => {
  json(200, { user_id: "@media.repo.admin.check:hs.example" });
  assert.equal(await homeserver.isServerAdmin(credentials, "synapse"), true);
  assert.equal(await homeserver.isServerAdmin(credentials, "dendrite"), true);
  assert.equal(await homeserver.isServerAdmin(credentials, "matrix"), true);
  const host = `127.0.0.1:${listener.port}`;
  assert.deepEqual(listener.asked, [
    `GET ${host} /_synapse/admin/v1/whois/%40media.repo.admin.check%3Ahs.example`,
    `GET ${host} /_matrix/client/v3/admin/whois/%40media.repo.admin.check%3Ahs.example`,
    `GET ${host} /_matrix/client/v3/admin/whois/%40media.repo.admin.check%3Ahs.example`,
  ]);
  json(200, {});
  assert.equal(await homeserver.isServerAdmin(credentials, "synapse"), true);
  json(200, { user_id: "@media.repo.admin.check:other.example" });
  assert.equal((await errorOf(homeserver.isServerAdmin(credentials, "synapse"))).status, 503);
  const refusals = [
    [400, "M_UNKNOWN"],
    [403, "M_FORBIDDEN"],
    [403, "M_USER_SUSPENDED"],
    [404, "M_UNRECOGNIZED"],
    [405, "M_UNRECOGNIZED"],
  ] as const;
  for (const [status, errcode] of refusals) {
    json(status, { errcode, error: "no" });
    for (let round = 0; round < 5; round += 1)
      assert.equal(await homeserver.isServerAdmin(credentials, "synapse"), false);
  }
});

test("whether somebody is an administrator is asked of whom the request acts as", async () => {
  json(200, {});
  assert.equal(await homeserver.isServerAdmin({ token: "t", userId: "@b:hs.example" }, "synapse"), true);
  assert.match(listener.asked.join(), /whois\/[^?]*\?user_id=%40b%3Ahs\.example$/);
});

test("a bad token or an outage is no answer to whether somebody is an administrator", async () => {
  json(401, { errcode: "M_UNKNOWN_TOKEN", error: "no" });
  assert.equal((await errorOf(homeserver.isServerAdmin(credentials, "matrix"))).status, 401);
  json(429, { errcode: "M_LIMIT_EXCEEDED", error: "no" });
  assert.equal((await errorOf(homeserver.isServerAdmin(credentials, "matrix"))).status, 429);
  json(500, {});
  assert.equal((await errorOf(homeserver.isServerAdmin(credentials, "matrix"))).status, 503);
});
