import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { FetchError } from "../../../origin/net/fetch_error.ts";
import { type FetchOptions, makeSafeFetch, type SafeFetchParts } from "../../../origin/net/safe_fetch.ts";
import { type Authority, makeAuthority } from "../../support/certificates.ts";
import { type Listener, listen } from "../../support/listener.ts";

const options: FetchOptions = { reach: "public", timeoutMs: 5000, maxBytes: 1000 };
const failedBy = (failure: string) => (error: unknown) => error instanceof FetchError && error.failure === failure;

let authority: Authority;
let named: Listener;
let numbered: Listener;
const serverNames: string[] = [];

before(async () => {
  authority = makeAuthority();
  const onServerName = (name: string) => serverNames.push(name);
  named = await listen((_, response) => response.end("named"), { tls: authority.issue("DNS:a.example"), onServerName });
  numbered = await listen((_, response) => response.end("numbered"), {
    tls: authority.issue("IP:127.0.0.1"),
    onServerName,
  });
});
after(async () => {
  await Promise.all([named.close(), numbered.close()]);
  authority.close();
});

function fetchWith(parts: Partial<SafeFetchParts> = {}) {
  const addresses = async () => ["127.0.0.1"];
  return makeSafeFetch({ allows: () => true, addresses, userAgent: "test", ca: authority.ca, ...parts });
}

test("the URL's own host is asked for, and its certificate checked", async () => {
  const fetch = fetchWith();
  serverNames.length = 0;
  assert.equal(await (await fetch(`https://a.example:${named.port}/`, options)).text(), "named");
  assert.deepEqual(serverNames, ["a.example"]);
  await fetch.close();
});

test("place to connect to, Host header, and name of the certificate are each their own", async () => {
  const asked: string[] = [];
  const fetch = fetchWith({
    addresses: async (hostname) => {
      asked.push(hostname);
      return ["127.0.0.1"];
    },
  });
  serverNames.length = 0;
  const via = { host: "target.example", port: named.port, hostHeader: "b.example:443", tlsName: "a.example" };
  const response = await fetch(`https://b.example/path`, { ...options, via });
  assert.equal(await response.text(), "named");
  assert.deepEqual(asked, ["target.example"]);
  assert.deepEqual(serverNames, ["a.example"]);
  assert.equal(named.asked.at(-1), "GET b.example:443 /path");
  await fetch.close();
});

test("an address is checked against the certificate without being asked for by name", async () => {
  const fetch = fetchWith();
  serverNames.length = 0;
  const via = { host: "127.0.0.1", port: numbered.port, hostHeader: "127.0.0.1", tlsName: "127.0.0.1" };
  assert.equal(await (await fetch("https://127.0.0.1:8448/", { ...options, via })).text(), "numbered");
  assert.equal(await (await fetch(`https://127.0.0.1:${numbered.port}/`, options)).text(), "numbered");
  assert.deepEqual(serverNames, ["false", "false"], "Node's word for no server name");
  await fetch.close();
});

test("a certificate for another name or address is refused before anything is sent", async () => {
  const fetch = fetchWith();
  const before = named.asked.length + numbered.asked.length;
  await assert.rejects(fetch(`https://b.example:${named.port}/`, options), failedBy("tls"));
  await assert.rejects(fetch(`https://127.0.0.1:${named.port}/`, options), failedBy("tls"));
  await assert.rejects(fetch(`https://a.example:${numbered.port}/`, options), failedBy("tls"));
  const via = { host: "127.0.0.1", port: named.port, hostHeader: "a.example", tlsName: "target.example" };
  await assert.rejects(fetch("https://a.example/", { ...options, via }), failedBy("tls"));
  assert.equal(named.asked.length + numbered.asked.length, before);
  await fetch.close();
});

test("a certificate of an unknown authority is refused, unless any is accepted", async () => {
  const { ca: _, ...parts } = { ca: "", allows: () => true, addresses: async () => ["127.0.0.1"], userAgent: "test" };
  const strict = makeSafeFetch(parts);
  await assert.rejects(strict(`https://a.example:${named.port}/`, options), failedBy("tls"));
  await strict.close();
  const lax = makeSafeFetch({ ...parts, unsafeCertificates: true });
  assert.equal(await (await lax(`https://b.example:${named.port}/`, options)).text(), "named");
  await assert.rejects(lax(`https://b.example:${named.port}/`, { ...options, reach: "operator" }), FetchError);
  await lax.close();
});

test("plain HTTP behind an https URL is an error", async () => {
  const plain = await listen((_, response) => response.end("x"));
  const fetch = fetchWith();
  await assert.rejects(fetch(`https://a.example:${plain.port}/`, options), failedBy("tls"));
  await fetch.close();
  await plain.close();
});
