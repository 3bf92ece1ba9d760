import assert from "node:assert/strict";
import type { RequestListener } from "node:http";
import { after, before, test } from "node:test";
import { FetchError } from "../../../origin/net/fetch_error.ts";
import { type FetchOptions, makeSafeFetch, type SafeFetchParts } from "../../../origin/net/safe_fetch.ts";
import { type Authority, type Certificate, makeAuthority } from "../../support/certificates.ts";
import { type Listener, listen } from "../../support/listener.ts";
import { startRawServer } from "../../support/raw_server.ts";

const options: FetchOptions = { reach: "public", timeoutMs: 60_000, maxBytes: 1000 };
const failedBy = (failure: string) => (error: unknown) => error instanceof FetchError && error.failure === failure;
/** Far beyond what anything here takes, and far below what a handshake may take. */
const SOON_MS = 30_000;

let authority: Authority;
let tls: Certificate;
before(() => {
  authority = makeAuthority();
  tls = authority.issue("DNS:a.example");
});
after(() => authority.close());

function fetchWith(parts: Partial<SafeFetchParts> = {}) {
  const addresses = async () => ["127.0.0.1"];
  const ours = { allows: () => true, addresses, userAgent: "test", ca: authority.ca, connectionsPerHost: 1 };
  return makeSafeFetch({ ...ours, ...parts });
}

/** A server that answers "ok", but ends `/gone` in its own way, also the first request over a connection if `always`. */
async function startForgetful(end: RequestListener, always = false): Promise<Listener> {
  const used = new WeakSet();
  return await listen(
    (request, response) => {
      if (request.url === "/gone" && (always || used.has(request.socket))) return end(request, response);
      used.add(request.socket);
      return response.end("ok");
    },
    { tls },
  );
}

const close: RequestListener = ({ socket }) => socket.destroy();

test("a server that accepts and says nothing is not waited for beyond the time, or the caller's signal", async () => {
  const mute = await startRawServer(() => {});
  const url = `https://a.example:${mute.port}/`;
  const fetch = fetchWith({ connectTimeoutMs: 10 * SOON_MS, maxRequests: 1 });
  const startMs = performance.now();
  for (let round = 0; round < 3; round += 1) {
    await assert.rejects(fetch(url, { ...options, timeoutMs: 100 }), failedBy("timeout"));
  }
  const giveUp = new AbortController();
  const attempt = fetch(url, { ...options, signal: giveUp.signal });
  giveUp.abort();
  await assert.rejects(attempt, failedBy("aborted"));
  assert.ok(performance.now() - startMs < SOON_MS);
  await fetch.close();
  await mute.close();
});

test("a connection that stands only after its request was given up serves the next one, and sends nothing of the first", async () => {
  const listener = await listen((_, response) => response.end("ok"), { tls });
  const resolved = Promise.withResolvers<string[]>();
  const fetch = fetchWith({ addresses: () => resolved.promise });
  const url = `https://a.example:${listener.port}/`;
  await assert.rejects(fetch(`${url}first`, { ...options, timeoutMs: 50 }), failedBy("timeout"));
  const second = fetch(`${url}second`, options);
  resolved.resolve(["127.0.0.1"]);
  assert.equal(await (await second).text(), "ok");
  assert.deepEqual(listener.asked, [`GET a.example:${listener.port} /second`]);
  await fetch.close();
  await listener.close();
});

test("closing ends also what is still connecting", async () => {
  const mute = await startRawServer(() => {});
  const fetch = fetchWith();
  const attempt = assert.rejects(fetch(`https://a.example:${mute.port}/`, options), failedBy("aborted"));
  await fetch.close();
  await attempt;
  await mute.close();
});

test("a GET or HEAD that crosses with the closing of a kept connection is sent again over a new one", async () => {
  for (const method of ["GET", "HEAD"]) {
    const server = await startForgetful(close);
    const fetch = fetchWith();
    const url = `https://a.example:${server.port}/`;
    await (await fetch(url, options)).text();
    const response = await fetch(`${url}gone`, { ...options, method });
    assert.equal(await response.text(), method === "GET" ? "ok" : "");
    assert.equal(server.connections, 2);
    await (await fetch(url, options)).text();
    await fetch.close();
    await server.close();
  }
});

test("it is sent again only once, and not if part of an answer has come, nor with what may not be done twice", async () => {
  const begin: RequestListener = ({ socket }) => socket.write("HTTP/1.1 200 OK\r\n", () => socket.destroy());
  const cases = [
    { method: "GET", end: close, always: true, asked: 3 },
    { method: "GET", end: begin, always: false, asked: 2 },
    { method: "POST", end: close, always: false, asked: 2 },
  ];
  for (const { method, end, always, asked } of cases) {
    const server = await startForgetful(end, always);
    const fetch = fetchWith();
    const url = `https://a.example:${server.port}/`;
    await (await fetch(url, options)).text();
    await assert.rejects(fetch(`${url}gone`, { ...options, method }), failedBy("connect"));
    assert.equal(server.asked.length, asked);
    await fetch.close();
    await server.close();
  }
});

test("a connection that is new is not tried twice", async () => {
  const server = await startForgetful(close, true);
  const fetch = fetchWith();
  await assert.rejects(fetch(`https://a.example:${server.port}/gone`, options), failedBy("connect"));
  assert.equal(server.asked.length, 1);
  await fetch.close();
  await server.close();
});

test("a connection that is closed before an answer counts as not reached, one that breaks within it as broken", async () => {
  const endings: [string, string, string][] = [
    ["nothing", "", "connect"],
    ["half of its headers", "HTTP/1.1 200 OK\r\nContent-", "connect"],
    ["an interim answer", "HTTP/1.1 103 Early Hints\r\n\r\n", "connect"],
    ["half of its body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "broken"],
    ["what is no HTTP", "SSH-2.0-nonsense\r\n", "broken"],
  ];
  for (const [name, said, failure] of endings) {
    const server = await startRawServer((socket) => void socket.end(said), tls);
    const fetch = fetchWith();
    const answer = fetch(`https://a.example:${server.port}/`, options).then((response) => response.text());
    await assert.rejects(answer, failedBy(failure), name);
    await fetch.close();
    await server.close();
  }
});
