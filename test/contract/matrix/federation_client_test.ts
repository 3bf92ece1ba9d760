import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { FederationClient } from "../../../origin/matrix/federation/federation_client.ts";
import { HostCircuits } from "../../../origin/matrix/federation/host_circuits.ts";
import { ServerResolver } from "../../../origin/matrix/federation/resolve.ts";
import { importSeed } from "../../../origin/matrix/signing.ts";
import type { SigningIdentity } from "../../../origin/matrix/signing_keys.ts";
import { makeAddressGuard } from "../../../origin/net/address_guard.ts";
import type { Dns } from "../../../origin/net/dns.ts";
import { FetchError } from "../../../origin/net/fetch_error.ts";
import { CircuitOpenError } from "../../../origin/platform/circuit.ts";
import { importPublicKey, type SigningKey } from "../../../shared/matrix/signing.ts";
import { parseXMatrix, verifyRequest } from "../../../shared/matrix/x_matrix.ts";
import { FORBIDDEN_ADDRESSES, MMR_DISALLOWED } from "../../support/addresses.ts";
import { type FederationPeer, startPeer } from "../../support/federation_peer.ts";
import { listen } from "../../support/listener.ts";

const limits = { maxBytes: 1000, timeoutMs: 5000 };
const { privateKey, publicKey } = await importSeed(new Uint8Array(32).fill(3));
const as: SigningIdentity = { serverName: "us.example", keyId: "ed25519:k", privateKey };
const failedBy = (failure: string) => (error: unknown) => error instanceof FetchError && error.failure === failure;

let peer: FederationPeer;
before(async () => {
  peer = await startPeer({ backoffAt: 3 });
});
after(() => peer.close());
beforeEach(() => {
  peer.nowMs += 3_600_000;
  peer.answer = (_, response) => response.end("ok");
});

function clientWithoutCircuits(srv: Dns["srv"] = async () => []) {
  const { safeFetch } = peer;
  const clock = () => peer.nowMs;
  const resolver = new ServerResolver({ safeFetch, srv, clock, random: () => 0 });
  return new FederationClient({ safeFetch, resolver, clock });
}

test("a request is signed for the server name, over the very target that arrives", async () => {
  let received: { authorization?: string; url?: string } = {};
  peer.answer = (request, response) => {
    received = { authorization: request.headers.authorization ?? "", url: request.url ?? "" };
    response.end("ok");
  };
  const target = "/_matrix/federation/v1/media/download/abc?timeout_ms=20000&x=%2F%2f+";
  const response = await peer.federation.get({ serverName: peer.name, target, as, ...limits });
  assert.equal(await response.text(), "ok");
  assert.equal(received.url, target);
  const credentials = parseXMatrix(received.authorization ?? "") ?? assert.fail("no credentials");
  assert.equal(credentials.destination, peer.name);
  const request = { method: "GET", uri: target, origin: "us.example", destination: peer.name };
  assert.equal(await verifyRequest(request, credentials, (await importPublicKey(publicKey)) as SigningKey), true);
  assert.equal(peer.listener.asked.at(-1), `GET ${peer.name} ${target}`);
});

test("without an identity nothing is signed", async () => {
  peer.answer = (request, response) => response.end(String(request.headers.authorization));
  const response = await peer.federation.get({ serverName: peer.name, target: "/x", ...limits });
  assert.equal(await response.text(), "undefined");
});

test("a target that would not be sent as it was signed is refused", async () => {
  for (const target of ["/a/../b", "/a b", "/a#b", "/é", "/%2e%2e/x", "//x", "x", "\\x"]) {
    const before = peer.listener.asked.length;
    const attempt = peer.federation.get({ serverName: peer.name, target, ...limits });
    if (target === "//x") await (await attempt).body.cancel();
    else {
      await assert.rejects(attempt, failedBy("url"), target);
      assert.equal(peer.listener.asked.length, before);
    }
  }
});

test("each target of the SRV records is tried, and Host and certificate are those of the name", async () => {
  const { port } = peer.listener;
  const closed = await listen(() => {});
  await closed.close();
  peer.srv["_matrix-fed._tcp.peer.example"] = [
    { name: "t1.example", port: closed.port, priority: 1, weight: 0 },
    { name: "t2.example", port, priority: 2, weight: 0 },
  ];
  const response = await peer.federation.get({ serverName: "peer.example", target: "/x", ...limits });
  assert.equal(await response.text(), "ok");
  assert.equal(peer.listener.asked.at(-1), "GET peer.example /x");
  await assert.rejects(
    peer.federation.get({ serverName: "other.example", target: "/x", ...limits }),
    failedBy("connect"),
  );
});

test("a server with a certificate for another name gets no request", async () => {
  peer.srv["_matrix-fed._tcp.victim.example"] = [
    { name: "t.example", port: peer.listener.port, priority: 1, weight: 0 },
  ];
  const before = peer.listener.asked.length;
  const attempt = peer.federation.get({ serverName: "victim.example", target: "/x", as, ...limits });
  await assert.rejects(attempt, failedBy("tls"));
  assert.equal(peer.listener.asked.length, before);
});

test("a place where a connection is closed before an answer is one of several", async () => {
  const closing = await listen(({ socket }) => socket.destroy(), { tls: peer.authority.issue("DNS:peer.example") });
  peer.srv["_matrix-fed._tcp.peer.example"] = [
    { name: "t1.example", port: closing.port, priority: 1, weight: 0 },
    { name: "t2.example", port: peer.listener.port, priority: 2, weight: 0 },
  ];
  const response = await peer.federation.get({ serverName: "peer.example", target: "/x", ...limits });
  assert.equal(await response.text(), "ok");
  assert.equal(closing.asked.length, 1);
  await closing.close();
});

test("a redirect within the server is signed for its own path, and once elsewhere nothing is signed any more", async () => {
  const { port } = peer.listener;
  const next: Record<string, string> = {
    "/1": "/2?x=%20",
    "/2?x=%20": `https://sub.peer.example:${port}/3`,
    "/3": `https://peer.example:${port}/4`,
  };
  const seen: [string | undefined, string, string | undefined][] = [];
  peer.answer = ({ headers, url = "" }, response) => {
    seen.push([headers.host, url, headers.authorization]);
    const location = next[url];
    return location === undefined ? response.end("there") : response.writeHead(307, { location }).end();
  };
  const response = await peer.federation.get({ serverName: peer.name, target: "/1", as, ...limits, redirects: 3 });
  assert.equal(await response.text(), "there");
  const [first, second, ...elsewhere] = seen;
  for (const [host, uri, authorization] of [first ?? assert.fail(), second ?? assert.fail()]) {
    assert.equal(host, peer.name);
    const credentials = parseXMatrix(authorization ?? "") ?? assert.fail("no credentials");
    const request = { method: "GET", uri, origin: "us.example", destination: peer.name };
    assert.equal(
      await verifyRequest(request, credentials, (await importPublicKey(publicKey)) as SigningKey),
      true,
      uri,
    );
  }
  assert.deepEqual(elsewhere, [
    [`sub.peer.example:${port}`, "/3", undefined],
    [peer.name, "/4", undefined],
  ]);
});

test("redirects are followed as often as allowed, and never to http", async () => {
  const get = (redirects?: number) =>
    peer.federation.get({
      ...{ serverName: peer.name, target: "/1", as, ...limits },
      ...(redirects === undefined ? {} : { redirects }),
    });
  peer.answer = (_, response) => response.writeHead(302, { location: "/1" }).end("moved");
  const before = peer.listener.asked.length;
  await assert.rejects(get(2), failedBy("redirect"));
  assert.equal(peer.listener.asked.length - before, 3);
  assert.equal(await (await get()).text(), "moved");
  peer.answer = (_, response) =>
    response.writeHead(302, { location: `http://peer.example:${peer.listener.port}/` }).end();
  await assert.rejects(get(2), failedBy("url"));
});

test("discovery takes of the time too, and ends with the caller's signal", async () => {
  const federation = clientWithoutCircuits(() => new Promise(() => {}));
  const get = { serverName: "peer.example", target: "/x", maxBytes: 1000 };
  await assert.rejects(federation.get({ ...get, timeoutMs: 50 }), failedBy("timeout"));
  const giveUp = new AbortController();
  const attempt = federation.get({ ...get, timeoutMs: 600_000, signal: giveUp.signal });
  giveUp.abort();
  await assert.rejects(attempt, failedBy("aborted"));
});

test("the request itself may have less time than everything", async () => {
  peer.answer = () => {};
  const get = { serverName: peer.name, target: "/x", maxBytes: 1000, timeoutMs: 600_000, requestMs: 50 };
  await assert.rejects(clientWithoutCircuits().get(get), failedBy("timeout"));
});

test("a server that fails often is left alone, and Matrix errors are no failures", async () => {
  const request = { serverName: peer.name, target: "/x", ...limits };
  peer.answer = (_, response) => response.writeHead(504, { "content-type": "application/json" }).end("{}");
  for (let round = 0; round < 10; round += 1) await (await peer.federation.get(request)).body.cancel();
  peer.answer = (_, response) => response.writeHead(502, { "content-type": "text/html" }).end("bad gateway");
  for (let round = 0; round < 3; round += 1) await (await peer.federation.get(request)).body.cancel();
  const before = peer.listener.asked.length;
  await assert.rejects(peer.federation.get(request), CircuitOpenError);
  assert.equal(peer.listener.asked.length, before);
  peer.nowMs += 60_000;
  peer.answer = (_, response) => response.end("ok");
  assert.equal(await (await peer.federation.get(request)).text(), "ok");
  assert.equal(await (await peer.federation.get(request)).text(), "ok");
});

test("a server whose answers are of no use to us is not left alone", async () => {
  const request = { serverName: peer.name, target: "/x", ...limits, redirects: 1 };
  const useless: [string, typeof peer.answer][] = [
    ["too_large", (_, response) => response.writeHead(200, { "content-length": "1001" }).end(Buffer.alloc(1001))],
    ["encoding", (_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end("x")],
    ["redirect", (_, response) => response.writeHead(302, { location: "/x" }).end()],
    ["connect", (_, response) => response.writeHead(302, { location: "https://127.0.0.1:1/" }).end()],
  ];
  for (const [failure, answer] of useless) {
    peer.answer = answer;
    for (let round = 0; round < 4; round += 1) await assert.rejects(peer.federation.get(request), failedBy(failure));
  }
  peer.answer = (_, response) => response.end("ok");
  assert.equal(await (await peer.federation.get(request)).text(), "ok");
});

test("without circuits a server is asked however often others failed, and nothing is counted", async () => {
  const uncounted = clientWithoutCircuits();
  const request = { serverName: peer.name, target: "/x", ...limits };
  peer.answer = ({ socket }) => socket.destroy();
  for (let round = 0; round < 4; round += 1) await assert.rejects(uncounted.get(request), failedBy("connect"));
  for (let round = 0; round < 3; round += 1) await assert.rejects(peer.federation.get(request), failedBy("connect"));
  await assert.rejects(peer.federation.get(request), CircuitOpenError);
  peer.answer = (_, response) => response.end("ok");
  assert.equal(await (await uncounted.get(request)).text(), "ok");
});

test("circuits of any number of hosts take bounded memory, and healthy hosts none", async () => {
  const circuits = new HostCircuits({ failures: 1, clock: () => 0 });
  const run = (host: string, work: () => Promise<void>) => circuits.run(host, work, () => "down").catch(() => {});
  for (let host = 0; host < 200; host += 1) await run(`good${host}.example`, async () => {});
  assert.equal(circuits.size, 0);
  for (let host = 0; host < 10_500; host += 1) await run(`bad${host}.example`, () => Promise.reject(new Error("no")));
  assert.equal(circuits.size, 10_000);
});

test("no forbidden address is reached as server name, SRV target or well-known delegate", async () => {
  const secret = await listen((_, response) => response.end("secret"), { address: "0.0.0.0" });
  const guard = makeAddressGuard({ allowedNetworks: ["0.0.0.0/0", "::/0"], disallowedNetworks: MMR_DISALLOWED });
  let forbidden = "";
  const guarded = await startPeer({
    backoffAt: 1_000_000,
    // The peer itself must be reachable, to hand out its delegations.
    allows: (address) => address === "127.0.0.1" || guard(address),
    addresses: (hostname) => (hostname.endsWith("peer.example") ? ["127.0.0.1"] : [forbidden]),
  });
  const { port } = secret;
  const delegated = new FederationClient({
    safeFetch: guarded.safeFetch,
    circuits: guarded.circuits,
    clock: () => 0,
    resolver: {
      resolve: async () => ({
        step: "3.1",
        targets: [{ host: forbidden, port }],
        hostHeader: "d.example",
        tlsName: "d.example",
      }),
    },
  });
  const refused = async (serverName: string) => {
    const attempt = guarded.federation.get({ serverName, target: "/x", ...limits });
    await assert.rejects(attempt, failedBy("address"), `${serverName} ${forbidden}`);
  };
  for (forbidden of FORBIDDEN_ADDRESSES.filter(
    (address) => !/(^|:)127\.0\.0\.1$|^::ffff:7f00:1$|ffff:7f00:0001$/.test(address),
  )) {
    const literal = forbidden.includes(":") ? `[${forbidden}]` : forbidden;
    guarded.srv["_matrix-fed._tcp.srv.example"] = [{ name: "target.example", port, priority: 1, weight: 1 }];
    await refused(`${literal}:${port}`);
    await refused(literal);
    await refused(`name.example:${port}`);
    await refused("srv.example");
    await assert.rejects(
      delegated.get({ serverName: "delegating.example", target: "/x", ...limits }),
      failedBy("address"),
    );
  }
  assert.equal(secret.connections, 0);
  await guarded.close();
  await secret.close();
});
