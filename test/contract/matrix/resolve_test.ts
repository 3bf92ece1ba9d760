import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { after, before, test } from "node:test";
import { type DiscoveryStep, ServerResolver } from "../../../origin/matrix/federation/resolve.ts";
import type { SrvRecord } from "../../../origin/net/dns.ts";
import { FetchError } from "../../../origin/net/fetch_error.ts";
import { makeSafeFetch, type SafeFetch } from "../../../origin/net/safe_fetch.ts";
import { type Authority, makeAuthority } from "../../support/certificates.ts";
import { type Listener, listen } from "../../support/listener.ts";

const vectors = JSON.parse(readFileSync(new URL("../../vectors/matrix_spec.json", import.meta.url), "utf8"));
const HOUR = 3_600_000;

let authority: Authority;
let listener: Listener;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let safeFetch: SafeFetch & { close(): Promise<void> };
let nowMs = 1_700_000_000_000;

before(async () => {
  authority = makeAuthority();
  const tls = authority.issue("DNS:a.example", "DNS:b.example", "DNS:*.a.example");
  listener = await listen((request, response) => answer(request, response), { tls });
  const real = makeSafeFetch({
    allows: () => true,
    addresses: async () => ["127.0.0.1"],
    userAgent: "mxcdn",
    ca: authority.ca,
  });
  // Well-known lives on port 443, which no test may take: the one thing changed here is the port that is dialled.
  const onOurPort: SafeFetch = (url, options) => {
    const { hostname, port, href } = new URL(url);
    assert.equal(port, "", `well-known was looked for at ${href}`);
    const via = { host: hostname, port: listener.port, hostHeader: hostname, tlsName: hostname };
    return real(url, { ...options, via });
  };
  safeFetch = Object.assign(onOurPort, { close: real.close });
});
after(async () => {
  await safeFetch.close();
  await listener.close();
  authority.close();
});

function makeResolve(srv: Record<string, SrvRecord[] | (() => Promise<SrvRecord[]>)> = {}) {
  const asked: string[] = [];
  const resolver = new ServerResolver({
    safeFetch,
    clock: () => nowMs,
    random: () => 0.5,
    srv: async (name) => {
      asked.push(name);
      const records = srv[name] ?? [];
      return typeof records === "function" ? await records() : records;
    },
  });
  return {
    resolve: (...which: Parameters<ServerResolver["resolve"]>) => resolver.resolve(...which),
    asked,
  };
}

const to = (name: string, port: number, priority = 1, weight = 1): SrvRecord => ({ name, port, priority, weight });
const delegating = (delegate: string, headers: Record<string, string> = {}) => {
  answer = (_, response) => response.writeHead(200, headers).end(JSON.stringify({ "m.server": delegate }));
};
const refusing = (status = 404) => {
  answer = (_, response) => response.writeHead(status).end("no");
};

test("every discovery vector leads where it should", async () => {
  assert.ok(vectors.discovery.length >= 12);
  for (const vector of vectors.discovery) {
    const records = Object.entries(vector.srv as Record<string, [string, number]>);
    const { resolve } = makeResolve(
      Object.fromEntries(records.map(([name, [host, port]]) => [name, [to(host, port)]])),
    );
    const before = listener.asked.length;
    answer = (_, response) => {
      const { status, body, content_type: type } = vector.well_known;
      response.writeHead(status, { "content-type": type ?? "application/json" }).end(body);
    };
    const found = await resolve(vector.server_name);
    const expected = {
      targets: [{ host: vector.connect, port: vector.port }],
      hostHeader: vector.host_header,
      tlsName: vector.tls_name.replace(/^ip:/, ""),
    };
    const { step: _, ...got } = found ?? assert.fail("not found");
    assert.deepEqual(got, expected, JSON.stringify(vector));
    assert.equal(listener.asked.length - before, vector.well_known === null ? 0 : 1);
  }
});

test("each step of the specification is told by its number", async () => {
  const srv = {
    "_matrix-fed._tcp.b.example": [to("t.example", 1)],
    "_matrix._tcp.c.example": [to("t.example", 2)],
    "_matrix-fed._tcp.x.a.example": [to("t.example", 3)],
    "_matrix._tcp.y.a.example": [to("t.example", 4)],
  };
  const cases: [string, string | undefined, string][] = [
    ["1.2.3.4", undefined, "1"],
    ["[::1]", undefined, "1"],
    ["a.example:8448", undefined, "2"],
    ["a.example", "[2001:db8::1]:1", "3.1"],
    ["a.example", "b.example:443", "3.2"],
    ["a.example", "b.example", "3.3"],
    ["a.example", "c.example", "3.4"],
    ["a.example", "d.example", "3.5"],
    ["x.a.example", undefined, "4"],
    ["y.a.example", undefined, "5"],
    ["z.a.example", undefined, "6"],
  ];
  for (const [name, delegate, step] of cases) {
    if (delegate === undefined) refusing();
    else delegating(delegate);
    assert.equal((await makeResolve(srv).resolve(name))?.step, step, `${name} ${delegate}`);
  }
});

test("SRV targets are all given in their order, and _matrix-fed hides _matrix", async () => {
  refusing();
  const { resolve, asked } = makeResolve({
    "_matrix-fed._tcp.a.example": [to("late.example", 2, 20), to("first.example.", 1, 10), to(".", 0, 0)],
    "_matrix._tcp.a.example": [to("old.example", 3)],
  });
  assert.deepEqual((await resolve("a.example"))?.targets, [
    { host: "first.example", port: 1 },
    { host: "late.example", port: 2 },
  ]);
  assert.deepEqual(asked, ["_matrix-fed._tcp.a.example"]);
});

test("whatever is wrong with well-known, discovery goes on", async () => {
  const wrongs: [string, typeof answer][] = [
    ["500", (_, response) => response.writeHead(500).end('{"m.server":"b.example"}')],
    ["no m.server", (_, response) => response.end("{}")],
    ["wrong type", (_, response) => response.end('{"m.server":7}')],
    ["no server name", (_, response) => response.end('{"m.server":"https://b.example/"}')],
    ["path in the name", (_, response) => response.end('{"m.server":"b.example/x"}')],
    ["array", (_, response) => response.end("[]")],
    ["null", (_, response) => response.end("null")],
    ["loop", (request, response) => response.writeHead(302, { location: request.url }).end()],
    ["to http", (_, response) => response.writeHead(302, { location: "http://a.example/x" }).end()],
    ["closed", (request) => request.socket.destroy()],
    ["gzip", (_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end("x")],
    ["endless", (_, response) => endless(response)],
  ];
  for (const [name, wrong] of wrongs) {
    answer = wrong;
    assert.equal((await makeResolve().resolve("a.example"))?.step, "6", name);
  }
});

function endless(response: ServerResponse): void {
  const more = () => {
    while (response.write('{"m.server":"b.example:1",'.repeat(100)));
  };
  response.on("drain", more);
  more();
}

test("redirects of well-known are followed", async () => {
  answer = (request, response) =>
    request.url === "/moved"
      ? response.end('{"m.server":"b.example:1"}')
      : response.writeHead(301, { location: "/moved" }).end();
  assert.equal((await makeResolve().resolve("a.example"))?.step, "3.2");
});

test("a host with a certificate for another name delegates nothing", async () => {
  delegating("b.example:1");
  assert.equal((await makeResolve().resolve("other.example"))?.step, "6");
});

test("a delegation is kept by its headers: a day without any, two at most, five minutes at least", async () => {
  const kept: [Record<string, string>, number][] = [
    [{}, 24 * HOUR],
    [{ "cache-control": "public, max-age=7200" }, 2 * HOUR],
    [{ "cache-control": "max-age=999999999" }, 48 * HOUR],
    [{ "cache-control": "max-age=1" }, 300_000],
    [{ "cache-control": "no-store" }, 300_000],
    [{ date: new Date(0).toUTCString(), expires: new Date(3 * HOUR).toUTCString() }, 3 * HOUR],
    [{ expires: "0" }, 300_000],
  ];
  for (const [headers, ms] of kept) {
    delegating("b.example:1", headers);
    const { resolve } = makeResolve();
    await resolve("a.example");
    const before = listener.asked.length;
    const startMs = nowMs;
    nowMs = startMs + ms - 1;
    await resolve("a.example");
    assert.equal(listener.asked.length, before, `${JSON.stringify(headers)} is still kept`);
    nowMs = startMs + ms;
    await resolve("a.example");
    assert.equal(listener.asked.length, before + 1, `${JSON.stringify(headers)} is asked again`);
    nowMs = startMs;
  }
});

test("failures are remembered for a minute, then twice as long each time, an hour at most", async () => {
  refusing();
  const { resolve } = makeResolve();
  const waits: number[] = [];
  for (let round = 0; round < 9; round += 1) {
    await resolve("a.example");
    const before = listener.asked.length;
    let waited = 0;
    while (listener.asked.length === before) {
      nowMs += 60_000;
      waited += 1;
      await resolve("a.example");
    }
    waits.push(waited);
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
});

test("a delegation outlives a failing refresh for a day, and what follows is fresh again", async () => {
  delegating("b.example:1", { "cache-control": "max-age=3600" });
  const { resolve } = makeResolve();
  await resolve("a.example");
  refusing(500);
  nowMs += HOUR;
  assert.equal((await resolve("a.example"))?.step, "3.2");
  nowMs += 23 * HOUR;
  assert.equal((await resolve("a.example"))?.step, "3.2");
  nowMs += 2 * HOUR;
  assert.equal((await resolve("a.example"))?.step, "6");
  delegating("b.example:2");
  nowMs += HOUR;
  assert.deepEqual((await resolve("a.example"))?.targets, [{ host: "b.example", port: 2 }]);
});

test("SRV records are kept for five minutes, and outlive name servers that don't answer", async () => {
  refusing();
  let records: SrvRecord[] | undefined = [to("t.example", 1)];
  const { resolve, asked } = makeResolve({
    "_matrix-fed._tcp.a.example": async () => records ?? Promise.reject(new FetchError("dns", "no answer")),
  });
  await resolve("a.example");
  await resolve("a.example");
  assert.equal(asked.length, 1);
  records = undefined;
  nowMs += 300_000;
  assert.equal((await resolve("a.example"))?.step, "4");
  records = [to("t.example", 2)];
  nowMs += 60_000;
  assert.deepEqual((await resolve("a.example"))?.targets, [{ host: "t.example", port: 2 }]);
});

test("many who ask for one host at once cost one request", async () => {
  delegating("b.example:1");
  const { resolve } = makeResolve();
  const before = listener.asked.length;
  await Promise.all(Array.from({ length: 20 }, () => resolve("a.example")));
  assert.equal(listener.asked.length, before + 1);
});

test("many who need the same SRV records at once cost one question, and who leaves ends it for nobody else", async () => {
  refusing();
  const records = Promise.withResolvers<SrvRecord[]>();
  const { resolve, asked } = makeResolve({ "_matrix-fed._tcp.a.example": () => records.promise });
  const giveUp = new AbortController();
  const leaving = resolve("a.example", { signal: giveUp.signal });
  const staying = Array.from({ length: 20 }, () => resolve("a.example"));
  while (asked.length === 0) await new Promise(setImmediate);
  giveUp.abort(new Error("enough"));
  await assert.rejects(leaving, /enough/);
  records.resolve([to("t.example", 1)]);
  for (const found of await Promise.all(staying)) assert.equal(found?.step, "4");
  assert.equal(asked.length, 1);
});

test("an administrator sees every question, asked anew", async () => {
  delegating("b.example");
  const { resolve } = makeResolve({ "_matrix._tcp.b.example": [to("t.example", 9)] });
  await resolve("a.example");
  const before = listener.asked.length;
  const steps: DiscoveryStep[] = [];
  await resolve("a.example", { fresh: true, onStep: (step) => steps.push(step) });
  assert.equal(listener.asked.length, before + 1);
  assert.deepEqual(
    steps.map(({ question, outcome }) => `${question}: ${outcome}`),
    [
      "well-known of a.example: b.example (well-known)",
      "SRV _matrix-fed._tcp.b.example: none",
      "SRV _matrix._tcp.b.example: t.example:9",
    ],
  );
});

test("what is no server name is not found, and nobody is asked", async () => {
  const { resolve, asked } = makeResolve();
  const before = listener.asked.length;
  for (const name of ["", "a b", "a/../b", "..", "127.1", "a.example:0x50", "[::1"]) {
    assert.equal(await resolve(name), undefined, name);
  }
  assert.equal(listener.asked.length + asked.length, before);
});
