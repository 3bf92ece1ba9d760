import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { makeAddressGuard } from "../../../origin/net/address_guard.ts";
import { FetchError } from "../../../origin/net/fetch_error.ts";
import { type FetchOptions, makeSafeFetch } from "../../../origin/net/safe_fetch.ts";
import { FORBIDDEN_ADDRESSES, MMR_DISALLOWED } from "../../support/addresses.ts";
import { type Listener, listen } from "../../support/listener.ts";

const EVERYTHING = ["0.0.0.0/0", "::/0"];
const guard = makeAddressGuard({ allowedNetworks: EVERYTHING, disallowedNetworks: MMR_DISALLOWED });
const options: FetchOptions = { reach: "public", timeoutMs: 5000, maxBytes: 1000 };
const bracketed = (address: string) => (address.includes(":") ? `[${address}]` : address);
const refusedFor = (failure: string) => (error: unknown) => error instanceof FetchError && error.failure === failure;

let secret: Listener;
let secretSix: Listener | undefined;

before(async () => {
  secret = await listen((_, response) => response.end("secret"), { address: "0.0.0.0" });
  secretSix = await listen((_, response) => response.end("secret"), { address: "::1", port: secret.port }).catch(
    () => undefined,
  );
});
after(() => Promise.all([secret.close(), secretSix?.close()]));

const reached = () => secret.connections + (secretSix?.connections ?? 0);

function fetchWith(addresses: (hostname: string) => Promise<string[]>, allows = guard) {
  return makeSafeFetch({ allows, addresses, userAgent: "test", connectTimeoutMs: 2000 });
}

test("the listener of these tests would be reached if the guard let us", async () => {
  const fetch = fetchWith(
    async () => ["127.0.0.1"],
    () => true,
  );
  for (const host of ["127.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433", "a.example"]) {
    const response = await fetch(`http://${host}:${secret.port}/`, options);
    assert.equal(await response.text(), "secret", host);
  }
  await fetch.close();
});

test("no forbidden address is dialled, whether it stands in the URL, in the DNS or as the place to connect to", async () => {
  const before = reached();
  for (const address of FORBIDDEN_ADDRESSES) {
    const fetch = fetchWith(async () => [address]);
    const { port } = secret;
    const via = { host: address, port, hostHeader: "a.example", tlsName: "a.example" };
    await assert.rejects(fetch(`http://${bracketed(address)}:${port}/`, options), refusedFor("address"), address);
    await assert.rejects(fetch(`http://a.example:${port}/`, options), refusedFor("address"), address);
    await assert.rejects(fetch(`https://a.example:${port}/`, options), refusedFor("address"), address);
    await assert.rejects(fetch("http://a.example/", { ...options, via }), refusedFor("address"), address);
    await fetch.close();
  }
  assert.equal(reached(), before);
});

test("odd notations of loopback are seen for what they are", async () => {
  const before = reached();
  const fetch = fetchWith(async (hostname) => (hostname === "localhost" ? ["127.0.0.1", "::1"] : []));
  const hosts = [
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "017700000001",
    "127.1",
    "0",
    "①②⑦.0.0.1",
    "localhost",
    "127.0.0.1.",
  ];
  for (const host of hosts) {
    await assert.rejects(fetch(`http://${host}:${secret.port}/`, options), refusedFor("address"), host);
  }
  assert.equal(reached(), before);
  await fetch.close();
});

test("no redirect leads to a forbidden address", async () => {
  let target = "";
  const open = await listen((_, response) => response.writeHead(302, { location: target }).end(), {
    address: "127.0.0.2",
  });
  const allows = (address: string) => address === "127.0.0.2" || guard(address);
  const fetch = fetchWith(async () => ["127.0.0.2"], allows);
  const before = reached();
  for (const address of FORBIDDEN_ADDRESSES) {
    target = `http://${bracketed(address)}:${secret.port}/`;
    const attempt = fetch(`http://a.example:${open.port}/`, { ...options, redirects: 5 });
    await assert.rejects(attempt, refusedFor("address"), address);
  }
  assert.equal(reached(), before);
  assert.equal(open.asked.length, FORBIDDEN_ADDRESSES.length);
  await fetch.close();
  await open.close();
});

test("a redirect from the operator's host to another one is guarded", async () => {
  const before = reached();
  const open = await listen((_, response) =>
    response.writeHead(307, { location: `http://127.0.0.1:${secret.port}/` }).end(),
  );
  const fetch = fetchWith(async () => []);
  const url = `http://127.0.0.1:${open.port}/`;
  await assert.rejects(fetch(url, { ...options, reach: "operator", redirects: 1 }), refusedFor("address"));
  const unfollowed = await fetch(url, { ...options, reach: "operator" });
  assert.equal(unfollowed.status, 307);
  await unfollowed.body.cancel();
  assert.equal(reached(), before);
  await fetch.close();
  await open.close();
});

test("a connection of the operator's is not lent to the public", async () => {
  const fetch = fetchWith(async () => ["127.0.0.1"]);
  const url = `http://127.0.0.1:${secret.port}/`;
  assert.equal(await (await fetch(url, { ...options, reach: "operator" })).text(), "secret");
  await assert.rejects(fetch(url, options), refusedFor("address"));
  await fetch.close();
});

test("the address that was checked is the one that is dialled, though the resolver changes its answer", async () => {
  // The secret listener stands on every address of loopback; what counts is the one it is reached at.
  let asked = 0;
  const dialled: string[] = [];
  const allows = (address: string) => {
    dialled.push(address);
    return address === "127.0.0.2";
  };
  const fetch = fetchWith(async () => [asked++ === 0 ? "127.0.0.2" : "127.0.0.1"], allows);
  const first = await fetch(`http://rebind.example:${secret.port}/1`, options);
  await first.text();
  assert.equal(asked, 1);
  assert.deepEqual(dialled, ["127.0.0.2", "127.0.0.2"], "asked before dialling and about the peer");
  await fetch.close();

  const again = fetchWith(async () => [asked++ === 0 ? "127.0.0.2" : "127.0.0.1"], allows);
  await assert.rejects(again(`http://rebind.example:${secret.port}/2`, options), refusedFor("address"));
  await again.close();
});

test("of several addresses only the allowed ones are dialled", async () => {
  const before = reached();
  const fetch = fetchWith(
    async () => ["127.0.0.1", "::1", "10.0.0.1", "127.0.0.3"],
    (address) => address === "127.0.0.3",
  );
  const elsewhere = await listen((_, response) => response.end("allowed"), { address: "127.0.0.3" });
  const response = await fetch(`http://a.example:${elsewhere.port}/`, options);
  assert.equal(await response.text(), "allowed");
  assert.equal(reached(), before);
  await fetch.close();
  await elsewhere.close();
});

test("other schemes, passwords and what is no URL are refused without a look-up", async () => {
  const fetch = fetchWith(() => assert.fail("no look-up was wanted"));
  for (const url of [
    "file:///etc/passwd",
    "ftp://a.example/",
    "data:,x",
    "javascript:1",
    "https://u:p@a.example/",
    "https://u@a.example/",
    "nothing",
    "",
  ]) {
    await assert.rejects(fetch(url, options), refusedFor("url"), url);
  }
  await assert.rejects(fetch("http://a.example/", { ...options, httpsOnly: true }), refusedFor("url"));
  await fetch.close();
});
