import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { after, before, test } from "node:test";
import { FetchError } from "../../../origin/net/fetch_error.ts";
import { type FetchOptions, makeSafeFetch } from "../../../origin/net/safe_fetch.ts";
import { type Listener, listen } from "../../support/listener.ts";

const options: FetchOptions = { reach: "public", timeoutMs: 5000, maxBytes: 1000, redirects: 5 };
const fetch = makeSafeFetch({ allows: () => true, addresses: async () => ["127.0.0.1"], userAgent: "test" });
const seen: { method: string; headers: IncomingHttpHeaders; body: string }[] = [];
let listener: Listener;
let url: string;

before(async () => {
  listener = await listen(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    seen.push({ method: request.method ?? "", headers: request.headers, body });
    const { searchParams } = new URL(request.url ?? "/", "http://x");
    const [to, status] = [searchParams.get("to"), Number(searchParams.get("status") ?? 302)];
    if (to === null) return response.end("arrived");
    const location = to === "loop" ? request.url : to;
    return response.writeHead(status, { location: location ?? "" }).end("moved");
  });
  url = `http://a.example:${listener.port}/`;
});
after(async () => {
  await fetch.close();
  await listener.close();
});

const to = (target: string, status = 302) => `${url}?status=${status}&to=${encodeURIComponent(target)}`;

test("redirects are followed up to the limit, relative ones too, and the last URL is told", async () => {
  let chain = "/end";
  for (let hop = 0; hop < 5; hop += 1) chain = `/?to=${encodeURIComponent(chain)}`;
  const response = await fetch(new URL(chain, url), options);
  assert.equal(await response.text(), "arrived");
  assert.equal(response.url, `${url}end`);
  const six = fetch(to(chain), options);
  await assert.rejects(six, (error) => error instanceof FetchError && error.failure === "redirect");
});

test("a loop ends after as many hops", async () => {
  const before = listener.asked.length;
  await assert.rejects(
    fetch(to("loop"), options),
    (error) => error instanceof FetchError && error.failure === "redirect",
  );
  assert.equal(listener.asked.length - before, 6);
});

test("without redirects the redirecting answer is the answer", async () => {
  const { redirects: _, ...plain } = options;
  const response = await fetch(to("/end"), plain);
  assert.equal(response.status, 302);
  assert.equal(response.headers.get("location"), "/end");
  assert.equal(await response.text(), "moved");
});

test("an answer with an unusable Location is the answer", async () => {
  const response = await fetch(to("http://"), options);
  assert.equal(response.status, 302);
  await response.body.cancel();
});

test("to another host go no credentials, no body and nothing that tells who asked", async () => {
  const secrets = { authorization: "Bearer t", cookie: "c=1", "x-forwarded-for": "1.2.3.4", "x-own": "1" };
  const headers = { ...secrets, accept: "text/html", "accept-language": "de" };
  seen.length = 0;
  await (
    await fetch(to(`http://b.example:${listener.port}/end`, 307), {
      ...options,
      method: "POST",
      body: "hello",
      headers,
    })
  ).text();
  const [first, second] = seen;
  assert.equal(first?.headers.authorization, "Bearer t");
  for (const name of Object.keys(secrets)) assert.equal(second?.headers[name], undefined, name);
  assert.equal(second?.headers.accept, "text/html");
  assert.equal(second?.headers["accept-language"], "de");
  assert.equal(second?.headers["user-agent"], "test");
  assert.equal(second?.body, "");
});

test("on the same host credentials are kept, and 307 and 308 keep method and body", async () => {
  for (const [status, method, body] of [
    [301, "GET", ""],
    [302, "GET", ""],
    [303, "GET", ""],
    [307, "POST", "hello"],
    [308, "POST", "hello"],
  ] as const) {
    seen.length = 0;
    await (
      await fetch(to("/end", status), {
        ...options,
        method: "POST",
        body: "hello",
        headers: { authorization: "Bearer t" },
      })
    ).text();
    assert.deepEqual(
      [seen[1]?.method, seen[1]?.body, seen[1]?.headers.authorization],
      [method, body, "Bearer t"],
      String(status),
    );
  }
});

test("a redirect to another scheme is refused", async () => {
  for (const target of ["file:///etc/passwd", "gopher://a/", "http://u:p@b.example/"]) {
    await assert.rejects(
      fetch(to(target), options),
      (error) => error instanceof FetchError && error.failure === "url",
      target,
    );
  }
});
