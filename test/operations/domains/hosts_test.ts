import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { hopHeaders } from "../../../shared/tiers/hop.ts";
import { accountsOf, startOrigin, startStack, type TestStack, userOf } from "../../support/app.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { askHost, type Heard, jsonOf } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";

/** Which homeserver a request is meant for. */

const NAMES = ["one.example", "two.example:8448", "192.0.2.1", "[2001:db8::1]", "[2001:db8::2]:8449", "Four.EXAMPLE"];
const HOSTS: readonly [string, string | undefined][] = [
  ["one.example", "one.example"],
  ["one.example:443", "one.example"],
  ["one.example:8008", "one.example"],
  ["ONE.Example", "one.example"],
  ["one.example.", "one.example"],
  ["two.example:8448", "two.example:8448"],
  ["Two.example:8448", "two.example:8448"],
  ["two.example", undefined],
  ["two.example:8449", undefined],
  ["192.0.2.1", "192.0.2.1"],
  ["192.0.2.1:8008", "192.0.2.1"],
  ["[2001:db8::1]", "[2001:db8::1]"],
  ["[2001:db8::1]:8008", "[2001:db8::1]"],
  ["[2001:DB8::1]", "[2001:db8::1]"],
  ["[2001:db8::2]:8449", "[2001:db8::2]:8449"],
  ["[2001:db8::2]", undefined],
  ["[2001:db8::3]", undefined],
  ["Four.EXAMPLE", "Four.EXAMPLE"],
  ["four.example", "Four.EXAMPLE"],
  ["four.example:443", "Four.EXAMPLE"],
  ["three.example", undefined],
  ["example", undefined],
  ["127.0.0.1:8000", undefined],
];
const CONFIG = "/_matrix/client/v1/media/config";
const lifetime = lifetimeOfSuite();
let stack: TestStack;
before(async () => {
  stack = await startStack(lifetime, { serverNames: NAMES });
});

/** The server name under which an upload with this host lands, by the token of whichever homeserver that is. */
async function landsAt(
  base: string,
  host: string,
  token: string,
  headers: Record<string, string> = {},
): Promise<string> {
  const asking = { method: "POST", token, body: "words ".repeat(50), headers };
  const heard = await askHost(base, host, "/_matrix/media/v3/upload", asking);
  assert.equal(heard.status, 200, `${host}: ${heard.body}`);
  return String(jsonOf(heard).content_uri).replace(/^mxc:\/\/(.*)\/[^/]*$/, "$1");
}

for (const tier of ["origin", "edge"] as const) {
  const base = () => stack.tiers[tier];

  describe(`a host at the ${tier}`, () => {
    for (const [host, name] of HOSTS) {
      test(`#27 ${host} is ${name ?? "nobody's"}`, async () => {
        if (name !== undefined) assert.equal(await landsAt(base(), host, userOf(name)), name);
        else isUnknownHost(await askHost(base(), host, CONFIG, { token: userOf("one.example") }), host);
      });
    }

    test("that is nobody's is named in the answer, with how to mend it, on every endpoint, whatever the token", async () => {
      const paths: [string, string][] = [
        ["GET", CONFIG],
        ["GET", "/_matrix/client/v1/media/download/one.example/abc"],
        ["GET", "/_matrix/media/v3/download/one.example/abc"],
        ["POST", "/_matrix/media/v3/upload"],
        ["POST", "/_matrix/media/v1/create"],
        ["GET", "/_matrix/client/versions"],
        ["POST", "/_matrix/client/v3/logout"],
        ["GET", "/_matrix/media/r0/identicon/seed"],
      ];
      for (const [method, path] of paths) {
        for (const token of [userOf("one.example"), "nobody's"]) {
          const body = method === "POST" ? "" : undefined;
          isUnknownHost(await askHost(base(), "wrong.example", path, { method, token, body }), "wrong.example");
        }
      }
    });

    test("of any kind is good for the health and the version", async () => {
      for (const host of ["wrong.example", "127.0.0.1", "localhost:1", "[::1]:8"]) {
        assert.equal((await askHost(base(), host, "/healthz")).status, 200, host);
        assert.equal((await askHost(base(), host, "/_matrix/media/version")).status, 200, host);
      }
    });
  });
}

describe("X-Forwarded-Host", () => {
  const own = lifetimeOfSuite();
  const start = async (repo: string) => {
    const homeservers: Record<string, string> = {};
    for (const name of ["one.example", "two.example"]) {
      const homeserver = await startHomeserver(accountsOf(name));
      own.after(() => homeserver.close());
      homeservers[name] = homeserver.url;
    }
    return await startOrigin(own, { homeservers, yaml: `repo: { bindAddress: 127.0.0.1, port: 0${repo} }\n` });
  };
  const forwarded = (host: string) => ({ "x-forwarded-host": host });

  test("of a trusted proxy counts more than Host; of several the last, which that proxy has written", async () => {
    const { url } = await start("");
    for (const host of ["one.example", "one.example:443", "two.example, one.example"]) {
      assert.equal(await landsAt(url, "two.example", userOf("one.example"), forwarded(host)), "one.example");
    }
    assert.equal(await landsAt(url, "one.example", userOf("one.example"), forwarded("")), "one.example");
    const wrong = await askHost(url, "one.example", CONFIG, { token: "any", headers: forwarded("wrong.example") });
    isUnknownHost(wrong, "wrong.example");
  });

  test("of anybody else says nothing, nor where the configuration does not want it", async () => {
    for (const repo of [", trustedProxies: []", ", trustedProxies: [192.0.2.0/24]", ", useForwardedHost: false"]) {
      const { url } = await start(repo);
      const headers = forwarded("two.example");
      assert.equal(await landsAt(url, "one.example", userOf("one.example"), headers), "one.example", repo);
      isUnknownHost(await askHost(url, "wrong.example", CONFIG, { token: "any", headers }), "wrong.example");
    }
  });

  test("of a client says nothing at the edge, and with a hop that nobody signed is refused at the origin", async () => {
    const { origin, edge } = stack.tiers;
    const headers = forwarded("one.example");
    assert.equal(await landsAt(edge, "192.0.2.1", userOf("192.0.2.1"), headers), "192.0.2.1");
    const forged = await hopHeaders("another secret", {
      method: "GET",
      target: CONFIG,
      host: "one.example",
      clientAddress: "192.0.2.7",
      requestId: "forged",
      timeMs: Date.now(),
    });
    // The proxy on loopback is trusted here; not with a hop, whatever it says itself.
    const { "x-forwarded-host": _, ...rest } = forged;
    for (const sent of [forged, rest, { ...headers, ...rest }]) {
      const heard = await askHost(origin, "one.example", CONFIG, { token: userOf("one.example"), headers: sent });
      assert.equal(heard.status, 403, heard.body.toString());
    }
  });
});

test("the only homeserver of a configuration is meant whatever the host says", async (t) => {
  const single = await startStack(t, { serverNames: ["one.example"] });
  for (const base of Object.values(single.tiers)) {
    for (const host of ["wrong.example", "127.0.0.1:8000", "one.example"]) {
      assert.equal(await landsAt(base, host, userOf("one.example")), "one.example");
    }
  }
});

function isUnknownHost(heard: Heard, host: string): void {
  assert.equal(heard.status, 404, `${host}: ${heard.body}`);
  const { errcode, error, mr_errcode: own } = jsonOf(heard);
  assert.equal(errcode, "M_UNRECOGNIZED");
  assert.equal(own, "M_UNKNOWN_HOST");
  assert.ok(String(error).includes(`"${host}"`), String(error));
  assert.match(String(error), /X-Forwarded-Host/);
  assert.match(String(error), /homeservers/);
}
