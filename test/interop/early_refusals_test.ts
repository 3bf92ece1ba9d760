import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { startOrigin } from "../support/app.ts";
import { startHomeserver } from "../support/homeserver.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";
import { type Refusal, type RefusedUpload, sendRefused } from "../support/refused_upload.ts";
import { type ProxyName, proxySkip, startReverseProxy } from "../support/reverse_proxies.ts";

/**
 * Answers that are sent before the body of a request has been read, as they arrive behind the reverse proxies of
 * `docs/reverse-proxy.md`: nginx makes a 502 page of its own of a connection that is reset while it sends.
 */

const TIMES = 100;
const AT_ONCE = 10;
const SIZES: readonly (readonly [string, number])[] = [
  ["1 MB", 1_000_000],
  ["50 MB", 50_000_000],
];
/** Of slow senders, after each piece. */
const PACE_MS = 5;
const UPLOAD = "/_matrix/media/v3/upload";
const USER = { authorization: "Bearer token_of_user" };

/** How each refusal is brought about: `limited` is an origin that has no more requests to give away. */
const KINDS: readonly {
  readonly status: number;
  readonly errcode: string;
  readonly limited?: true;
  readonly request: Pick<RefusedUpload, "method" | "path" | "headers">;
}[] = [
  { status: 401, errcode: "M_UNKNOWN_TOKEN", request: { method: "POST", path: UPLOAD, headers: bearer("nobody") } },
  { status: 413, errcode: "M_TOO_LARGE", request: { method: "POST", path: UPLOAD, headers: USER } },
  { status: 429, errcode: "M_LIMIT_EXCEEDED", limited: true, request: { method: "POST", path: UPLOAD, headers: USER } },
  {
    status: 404,
    errcode: "M_UNRECOGNIZED",
    request: { method: "POST", path: "/_matrix/media/v3/nothing", headers: USER },
  },
  { status: 405, errcode: "M_UNRECOGNIZED", request: { method: "PUT", path: UPLOAD, headers: USER } },
];

function bearer(token: string) {
  return { authorization: `Bearer ${token}` };
}

for (const proxy of ["nginx", "caddy"] as const satisfies readonly ProxyName[]) {
  describe(`behind ${proxy}, as the documentation sets it up`, { skip: proxySkip(proxy) }, () => {
    const lifetime = lifetimeOfSuite();
    let plain = "";
    let limited = "";
    before(async () => {
      const homeserver = await startHomeserver({ token_of_user: { user_id: "@user:example.org" } });
      lifetime.after(() => homeserver.close());
      const homeservers = { "example.org": homeserver.url };
      const uploads = "uploads: { maxBytes: 500000 }\n";
      const origins = [
        await startOrigin(lifetime, { homeservers, yaml: uploads }),
        await startOrigin(lifetime, { homeservers, yaml: "rateLimit: { requestsPerSecond: 0.0001, burst: 1 }\n" }),
      ];
      [plain = "", limited = ""] = await Promise.all(
        origins.map((origin) => startReverseProxy(lifetime, proxy, origin.url)),
      );
      await sendRefused(limited, { method: "POST", path: UPLOAD, headers: USER, length: 10, paceMs: 0 });
    });

    for (const kind of KINDS) {
      for (const [size, length] of SIZES) {
        test(`a ${kind.status} to ${size} is ours each time, however fast they are sent`, async () => {
          const base = kind.limited ? limited : plain;
          const heard = await repeat((paceMs) => sendRefused(base, { ...kind.request, length, paceMs }));
          assert.deepEqual(tally(heard), { [`${kind.status} ${kind.errcode}`]: TIMES });
        });
      }
    }
  });
}

/** Half of the senders are slow. */
async function repeat(send: (paceMs: number) => Promise<Refusal>): Promise<Refusal[]> {
  const heard: Refusal[] = [];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async (_, sender) => {
      const paceMs = sender % 2 === 0 ? 0 : PACE_MS;
      for (let times = 0; times < TIMES / AT_ONCE; times += 1) heard.push(await send(paceMs));
    }),
  );
  return heard;
}

function tally(heard: readonly Refusal[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const one of heard) {
    const name = one === undefined ? "nothing" : `${one.status} ${/"errcode":"(\w+)"/.exec(one.body)?.[1] ?? one.body}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}
