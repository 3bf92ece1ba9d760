import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { CircuitOpenError } from "../../origin/matrix/circuit.ts";
import { makeFederationFetch, type SigningIdentity } from "../../origin/matrix/federation_request.ts";
import { HostCircuits } from "../../origin/matrix/host_circuits.ts";
import { FetchError } from "../../origin/net/fetch_error.ts";
import { makeAddressGuard } from "../../origin/net/ip_ranges.ts";
import { importPublicKey, importSeed, type SigningKey } from "../../shared/sign_json.ts";
import { parseXMatrix, verifyRequest } from "../../shared/x_matrix.ts";
import { FORBIDDEN_ADDRESSES, MMR_DISALLOWED } from "../support/addresses.ts";
import { type FederationPeer, startPeer } from "../support/federation_peer.ts";
import { listen } from "../support/listener.ts";

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

test("a request is signed for the server name, over the very target that arrives", async () => {
  let received: { authorization?: string; url?: string } = {};
  peer.answer = (request, response) => {
    received = { authorization: request.headers.authorization ?? "", url: request.url ?? "" };
    response.end("ok");
  };
  const target = "/_matrix/federation/v1/media/download/abc?timeout_ms=20000&x=%2F%2f+";
  const response = await peer.federationFetch({ serverName: peer.name, target, as, ...limits });
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
  const response = await peer.federationFetch({ serverName: peer.name, target: "/x", ...limits });
  assert.equal(await response.text(), "undefined");
});

test("a target that would not be sent as it was signed is refused", async () => {
  for (const target of ["/a/../b", "/a b", "/a#b", "/é", "/%2e%2e/x", "//x", "x", "\\x"]) {
    const before = peer.listener.asked.length;
    const attempt = peer.federationFetch({ serverName: peer.name, target, ...limits });
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
  const response = await peer.federationFetch({ serverName: "peer.example", target: "/x", ...limits });
  assert.equal(await response.text(), "ok");
  assert.equal(peer.listener.asked.at(-1), "GET peer.example /x");
  await assert.rejects(
    peer.federationFetch({ serverName: "other.example", target: "/x", ...limits }),
    failedBy("connect"),
  );
});

test("a server with a certificate for another name gets no request", async () => {
  peer.srv["_matrix-fed._tcp.victim.example"] = [
    { name: "t.example", port: peer.listener.port, priority: 1, weight: 0 },
  ];
  const before = peer.listener.asked.length;
  const attempt = peer.federationFetch({ serverName: "victim.example", target: "/x", as, ...limits });
  await assert.rejects(attempt, failedBy("tls"));
  assert.equal(peer.listener.asked.length, before);
});

test("a relative redirect stays with the server, one to another host carries no signature", async () => {
  const seen: [string | undefined, string | undefined][] = [];
  peer.answer = (request, response) => {
    seen.push([request.headers.host, request.headers.authorization]);
    if (request.url === "/1") return response.writeHead(307, { location: "/2" }).end();
    if (request.url === "/2") {
      return response.writeHead(307, { location: `https://sub.peer.example:${peer.listener.port}/3` }).end();
    }
    return response.end("there");
  };
  const response = await peer.federationFetch({ serverName: peer.name, target: "/1", as, ...limits, redirects: 5 });
  assert.equal(await response.text(), "there");
  assert.equal(seen[0]?.[0], peer.name);
  assert.equal(seen[1]?.[0], peer.name);
  assert.deepEqual(seen[2], [`sub.peer.example:${peer.listener.port}`, undefined]);
});

test("a server that fails often is left alone, and Matrix errors are no failures", async () => {
  const request = { serverName: peer.name, target: "/x", ...limits };
  peer.answer = (_, response) => response.writeHead(504, { "content-type": "application/json" }).end("{}");
  for (let round = 0; round < 10; round += 1) await (await peer.federationFetch(request)).body.cancel();
  peer.answer = (_, response) => response.writeHead(502, { "content-type": "text/html" }).end("bad gateway");
  for (let round = 0; round < 3; round += 1) await (await peer.federationFetch(request)).body.cancel();
  const before = peer.listener.asked.length;
  await assert.rejects(peer.federationFetch(request), CircuitOpenError);
  assert.equal(peer.listener.asked.length, before);
  peer.nowMs += 60_000;
  peer.answer = (_, response) => response.end("ok");
  assert.equal(await (await peer.federationFetch(request)).text(), "ok");
  assert.equal(await (await peer.federationFetch(request)).text(), "ok");
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
  const delegated = makeFederationFetch({
    safeFetch: guarded.safeFetch,
    circuits: guarded.circuits,
    clock: () => 0,
    resolve: async () => ({
      step: "3.1",
      targets: [{ host: forbidden, port }],
      hostHeader: "d.example",
      tlsName: "d.example",
    }),
  });
  const refused = async (serverName: string) => {
    const attempt = guarded.federationFetch({ serverName, target: "/x", ...limits });
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
    await assert.rejects(delegated({ serverName: "delegating.example", target: "/x", ...limits }), failedBy("address"));
  }
  assert.equal(secret.connections, 0);
  await guarded.close();
  await secret.close();
});
