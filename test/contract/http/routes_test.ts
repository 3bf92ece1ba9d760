import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import * as z from "zod";
import { Access } from "../../../origin/access/access.ts";
import type { Domain } from "../../../origin/domains/domain.ts";
import { jsonBody } from "../../../origin/http/request/request_body.ts";
import type { Route, RouteAccess } from "../../../origin/http/route.ts";
import { route } from "../../../origin/http/route.ts";
import { Server, type ServerParts } from "../../../origin/http/server.ts";
import { silentLog } from "../../../origin/platform/log.ts";
import { makeMetrics } from "../../../origin/platform/metrics.ts";
import { jsonAnswer } from "../../../shared/http/respond.ts";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { ask, jsonOf } from "../../support/http.ts";

/** What a route that is declared can rely on: who gets to its handler, and in which order a request is looked at. */

const BODY = z.object({ reason: z.string() });

function declared<A extends RouteAccess>(access: A): Route {
  return route({
    method: "POST",
    path: `/test/${access}/:number`,
    action: access,
    access,
    limit: "requests",
    params: ({ segments }) => {
      looked.push("path");
      if (!/^[0-9]+$/.test(segments.number ?? "")) throw new MatrixError("M_INVALID_PARAM", "no number");
      return Number(segments.number);
    },
    query: (query) => {
      looked.push("query");
      return query.get("q");
    },
    body: jsonBody(BODY),
    handle: ({ params, query, body }) => jsonAnswer({ params, query, reason: body.reason }),
  });
}

const looked: string[] = [];
let isFull = false;

/** Users by token; nobody else is known. */
const USERS: Readonly<Record<string, { isGuest?: boolean; isRepositoryAdmin?: boolean }>> = {
  user: {},
  guest: { isGuest: true },
  repository: { isRepositoryAdmin: true },
  homeserver: {},
};

const COUNTED = { kind: "user", name: "user", exempt: false };

const domain = {
  serverName: "example.org",
  isServerAdmin: async ({ token }: { token: string }) => token === "homeserver",
} as unknown as Domain;

const parts = {
  log: silentLog,
  clock: Date.now,
  steady: () => performance.now(),
  makeRequestId: () => "id",
  hopSecret: undefined,
  proxies: { trustAnyForwardedAddress: false, useForwardedHost: false, trustedProxies: [] },
  bodyIdleMs: 10_000,
  downloadCache: { enabled: false },
  requireForeign: () => undefined,
  domains: {
    atHost(host: string | undefined) {
      looked.push("host");
      if (host === "unknown.example") throw new MatrixError("M_UNRECOGNIZED", "no such host");
      return domain;
    },
  },
  access: {
    nobody: () => COUNTED,
    async requireUser(request: { header(name: string): string | undefined }, _domain: unknown, audience: string) {
      looked.push("token");
      const token = request.header("authorization")?.replace("Bearer ", "") ?? "";
      const known = USERS[token];
      if (!known) throw new MatrixError("M_MISSING_TOKEN", "none");
      if (known.isGuest && audience === "user") throw new MatrixError("M_GUEST_ACCESS_FORBIDDEN", "guest");
      const requester = {
        kind: "user",
        userId: `@${token}:example.org`,
        isGuest: false,
        isRepositoryAdmin: false,
        ...known,
      };
      return { requester, credentials: { token }, counted: COUNTED };
    },
    findUser: async () => ({ requester: { kind: "anonymous" }, counted: COUNTED }),
    requireRepositoryAdmin: Access.prototype.requireRepositoryAdmin,
    requireDomainAdmin: Access.prototype.requireDomainAdmin,
    limits: {
      async checkRequest() {
        looked.push("limit");
        if (isFull) throw new MatrixError("M_LIMIT_EXCEEDED", "too many");
      },
    },
  },
  metrics: makeMetrics({ ofProcess: false, ofWorker: false }),
} as unknown as ServerParts;

const ACCESSES = ["none", "optional", "user", "user_or_guest", "repository_admin", "domain_admin"] as const;
const server = new Server(
  parts,
  ACCESSES.map((access) => declared(access)),
);
let base: string;
before(async () => {
  base = await server.listen({ host: "127.0.0.1", port: 0 });
});
after(() => server.close());
beforeEach(() => {
  looked.length = 0;
  isFull = false;
});

const post = (
  access: RouteAccess,
  token?: string,
  { path = "7?q=x", body = '{"reason":"r"}', host = "example.org" } = {},
) => ask(base, `/test/${access}/${path}`, { method: "POST", token, body, headers: { host } });

describe("who gets to the handler of a route", () => {
  const ALLOWED: Readonly<Record<(typeof ACCESSES)[number], readonly (string | undefined)[]>> = {
    none: [undefined, "guest", "user", "homeserver", "repository"],
    optional: [undefined, "guest", "user", "homeserver", "repository"],
    user: ["user", "homeserver", "repository"],
    user_or_guest: ["guest", "user", "homeserver", "repository"],
    repository_admin: ["repository"],
    domain_admin: ["homeserver", "repository"],
  };
  for (const access of ACCESSES) {
    test(`${access}: ${ALLOWED[access].map((one) => one ?? "nobody").join(", ")}`, async () => {
      for (const token of [undefined, "guest", "user", "homeserver", "repository"]) {
        const { status } = await post(access, token);
        assert.equal(status, ALLOWED[access].includes(token) ? 200 : token ? 403 : 401, String(token));
      }
    });
  }
});

describe("a request is looked at in one order, and the first that is wrong is what the client is told", () => {
  test("host, token, limit, path, query, body", async () => {
    const heard = await post("user", "user");
    assert.deepEqual(jsonOf(heard), { params: 7, query: "x", reason: "r" });
    assert.deepEqual(looked, ["host", "token", "limit", "path", "query"]);
  });

  test("of a request with nothing in order, one after the other", async () => {
    const wrong = { path: "seven", body: "{", host: "unknown.example" };
    assert.equal((await post("user", "nobody", wrong)).status, 404);
    assert.equal((await post("user", "nobody", { ...wrong, host: "example.org" })).status, 401);
    isFull = true;
    assert.equal((await post("user", "user", { ...wrong, host: "example.org" })).status, 429);
    isFull = false;
    assert.equal(jsonOf(await post("user", "user", { ...wrong, host: "example.org" })).errcode, "M_INVALID_PARAM");
    assert.equal(jsonOf(await post("user", "user", { body: "{" })).errcode, "M_NOT_JSON");
    const other = await post("user", "user", { body: '{"reason":1}' });
    assert.equal(jsonOf(other).errcode, "M_BAD_JSON");
    assert.match(String(jsonOf(other).error), /reason/);
  });

  test("a route that nobody has to show anything for is counted before its host is looked at", async () => {
    await post("none");
    assert.deepEqual(looked, ["limit", "path", "query"]);
  });
});

test("what only the edge may ask stands beneath the edge's prefix, and nothing else does", () => {
  assert.throws(() => new Server(parts, [declared("edge")]), /only the edge/);
  const hidden = { ...declared("none"), path: "/_mxcdn/v1/other" };
  assert.throws(() => new Server(parts, [hidden]), /only the edge/);
});
