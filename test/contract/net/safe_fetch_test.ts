import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { FetchError } from "../../../origin/net/fetch_error.ts";
import { type FetchOptions, makeSafeFetch, type SafeFetchParts } from "../../../origin/net/safe_fetch.ts";
import { type Listener, listen } from "../../support/listener.ts";
import { until } from "../../support/until.ts";

const options: FetchOptions = { reach: "public", timeoutMs: 5000, maxBytes: 1000 };
const failedBy = (failure: string) => (error: unknown) => error instanceof FetchError && error.failure === failure;

function fetchWith(parts: Partial<SafeFetchParts> = {}) {
  return makeSafeFetch({ allows: () => true, addresses: async () => ["127.0.0.1"], userAgent: "test/1", ...parts });
}

/** One fetch and one listener, closed after the work. */
async function against(
  handler: Parameters<typeof listen>[0],
  work: (fetch: ReturnType<typeof fetchWith>, url: string, listener: Listener) => Promise<void>,
) {
  const listener = await listen(handler);
  const fetch = fetchWith();
  try {
    await work(fetch, `http://a.example:${listener.port}/`, listener);
  } finally {
    await fetch.close();
    await listener.close();
  }
}

test("method, path, headers and body go out as given, with our user agent and a wish for plain bytes", async () => {
  let seen: unknown;
  await against(
    async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      seen = { method: request.method, url: request.url, headers: request.headers, body };
      response.writeHead(201, { "content-type": "application/json", "x-two": ["a", "b"] }).end('{"ok":true}');
    },
    async (fetch, url, { port }) => {
      const response = await fetch(`${url}a%2fb?c=%20d#fragment`, {
        ...options,
        method: "POST",
        headers: { Authorization: "Bearer t", "content-type": "text/plain" },
        body: "hello",
      });
      assert.equal(response.status, 201);
      assert.equal(response.headers.get("Content-Type"), "application/json");
      assert.equal(response.headers.get("x-two"), "a, b");
      assert.equal(response.headers.get("x-none"), null);
      assert.deepEqual(await response.json(), { ok: true });
      assert.deepEqual(seen, {
        method: "POST",
        url: "/a%2fb?c=%20d",
        body: "hello",
        headers: {
          host: `a.example:${port}`,
          "user-agent": "test/1",
          accept: "*/*",
          authorization: "Bearer t",
          "content-type": "text/plain",
          "accept-encoding": "identity",
          connection: "keep-alive",
          "content-length": "5",
        },
      });
    },
  );
});

test("exactly maxBytes pass, one more does not, announced or not", async () => {
  await against(
    (request, response) => {
      const size = Number(request.url?.slice(2));
      if (request.url?.startsWith("/a")) response.setHeader("content-length", size);
      response.write(Buffer.alloc(Math.min(size, 600)));
      response.end(Buffer.alloc(Math.max(0, size - 600)));
    },
    async (fetch, url) => {
      for (const kind of ["a", "c"]) {
        assert.equal((await (await fetch(`${url}${kind}1000`, options)).text()).length, 1000);
      }
      await assert.rejects(fetch(`${url}a1001`, options), failedBy("too_large"));
      const chunked = await fetch(`${url}c1001`, options);
      await assert.rejects(chunked.text(), failedBy("too_large"));
    },
  );
});

test("a body without end is stopped at maxBytes and its connection is closed", async () => {
  let closed: (() => void) | undefined;
  const gone = new Promise<void>((resolve) => {
    closed = resolve;
  });
  await against(
    (_, response) => {
      const piece = Buffer.alloc(16_384);
      const more = () => {
        while (response.write(piece));
      };
      response.on("drain", more).on("close", () => closed?.());
      more();
    },
    async (fetch, url) => {
      const response = await fetch(url, { ...options, maxBytes: 1_000_000 });
      await assert.rejects(response.text(), failedBy("too_large"));
      await gone;
    },
  );
});

test("compressed answers are refused", async () => {
  await against(
    (request, response) => response.writeHead(200, { "content-encoding": request.url?.slice(1) ?? "" }).end("x"),
    async (fetch, url) => {
      for (const encoding of ["gzip", "br", "GZIP", "zstd", "identity, gzip"]) {
        await assert.rejects(
          fetch(`${url}${encodeURIComponent(encoding)}`, options).then((r) => r.text()),
          (error: FetchError) => {
            return error.failure === "encoding";
          },
        );
      }
      assert.equal(await (await fetch(`${url}identity`, options)).text(), "x");
    },
  );
});

test("headers that are too long are refused", async () => {
  const server = createServer((socket) => {
    socket.resume().on("error", () => {});
    socket.write("HTTP/1.1 200 OK\r\n");
    const line = `x-a: ${"y".repeat(1000)}\r\n`;
    const more = () => {
      while (!socket.destroyed && socket.write(line));
    };
    socket.on("drain", more);
    more();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const fetch = fetchWith();
  await assert.rejects(fetch(`http://a.example:${port}/`, options), failedBy("too_large"));
  await fetch.close();
  await new Promise((resolve) => server.close(resolve));
});

test("no headers in time, no body in time, and a slow drip all end", async () => {
  await against(
    (request, response) => {
      if (request.url === "/silent") return;
      response.write("a");
      if (request.url === "/stalled") return;
      const drip = setInterval(() => response.write("a"), 20);
      response.on("close", () => clearInterval(drip));
    },
    async (fetch, url) => {
      await assert.rejects(fetch(`${url}silent`, { ...options, headersTimeoutMs: 100 }), failedBy("timeout"));
      const stalled = fetch(`${url}stalled`, { ...options, idleTimeoutMs: 100 }).then((response) => response.text());
      await assert.rejects(stalled, failedBy("timeout"));
      // Where the machine pauses, the time may be over before the headers are here.
      const drip = fetch(`${url}drip`, { ...options, timeoutMs: 300 }).then((response) => response.text());
      await assert.rejects(drip, failedBy("timeout"));
      await assert.rejects(fetch(`${url}silent`, { ...options, timeoutMs: 100 }), failedBy("timeout"));
    },
  );
});

test("a handshake that never ends ends", async () => {
  const server = createServer((socket) => socket.on("error", () => {}).resume());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const fetch = fetchWith({ connectTimeoutMs: 200 });
  await assert.rejects(fetch(`https://a.example:${port}/`, options), failedBy("timeout"));
  await fetch.close();
  await new Promise((resolve) => server.close(resolve));
});

test("a resolver that never answers is not waited for", async () => {
  const fetch = fetchWith({ connectTimeoutMs: 200, addresses: () => new Promise(() => {}) });
  await assert.rejects(fetch("http://a.example/", options), failedBy("timeout"));
  await fetch.close();
});

test("names without address, closed ports and nonsense are told apart", async () => {
  const nameless = fetchWith({ addresses: async () => [] });
  await assert.rejects(nameless("http://a.example/", options), failedBy("dns"));
  await nameless.close();
  const closed = await listen(() => {});
  await closed.close();
  const fetch = fetchWith();
  await assert.rejects(fetch(`http://a.example:${closed.port}/`, options), failedBy("connect"));
  const server = createServer((socket) =>
    socket
      .resume()
      .on("error", () => {})
      .end("SSH-2.0-nonsense\r\n"),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await assert.rejects(fetch(`http://a.example:${port}/`, options), failedBy("broken"));
  await fetch.close();
  await new Promise((resolve) => server.close(resolve));
});

test("a body that is cut short is an error, not an end", async () => {
  await against(
    (request, response) => {
      if (request.url === "/length") response.setHeader("content-length", 100);
      response.write("short", () => response.destroy());
    },
    async (fetch, url) => {
      for (const path of ["length", "chunked"]) {
        const response = await fetch(`${url}${path}`, options);
        await assert.rejects(response.text(), failedBy("broken"), path);
      }
    },
  );
});

test("what is not JSON is an error of its own", async () => {
  await against(
    (_, response) => response.end("<html>"),
    async (fetch, url) => {
      await assert.rejects((await fetch(url, options)).json(), failedBy("broken"));
    },
  );
});

test("header values are UTF-8 where they can be, else Latin-1", async () => {
  const server = createServer((socket) => {
    const head = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx-utf8: "🐔é"\r\nx-latin: ');
    socket
      .on("error", () => {})
      .once("data", () => socket.end(Buffer.concat([head, Buffer.from("é\r\n\r\n", "latin1")])));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const fetch = fetchWith();
  const response = await fetch(`http://a.example:${port}/`, options);
  assert.equal(response.headers.get("x-utf8"), '"🐔é"');
  assert.equal(response.headers.get("x-latin"), "é");
  await response.body.cancel();
  await fetch.close();
  await new Promise((resolve) => server.close(resolve));
});

test("the caller's signal ends a request before and in the middle of its answer", async () => {
  await against(
    (request, response) => {
      if (request.url === "/body") response.write("a");
    },
    async (fetch, url) => {
      const early = new AbortController();
      const attempt = fetch(url, { ...options, signal: early.signal });
      setTimeout(() => early.abort(), 20);
      await assert.rejects(attempt, failedBy("aborted"));
      const late = new AbortController();
      const response = await fetch(`${url}body`, { ...options, signal: late.signal });
      setTimeout(() => late.abort(), 20);
      await assert.rejects(response.text(), failedBy("aborted"));
      await assert.rejects(fetch(url, { ...options, signal: AbortSignal.abort() }), failedBy("aborted"));
    },
  );
});

test("a cancelled body ends its transfer", async () => {
  let closed: (() => void) | undefined;
  const gone = new Promise<void>((resolve) => {
    closed = resolve;
  });
  await against(
    (_, response) => {
      response.on("close", () => closed?.());
      response.write("a");
    },
    async (fetch, url) => {
      const response = await fetch(url, options);
      await response.body.cancel();
      await gone;
    },
  );
});

test("connections are kept and used again, bounded per host, and closed by close", async () => {
  const listener = await listen((_, response) => setTimeout(() => response.end("ok"), 5));
  const fetch = fetchWith({ connectionsPerHost: 2 });
  const url = `http://a.example:${listener.port}/`;
  await (await fetch(url, options)).text();
  await (await fetch(url, options)).text();
  await Promise.all(Array.from({ length: 10 }, async () => (await fetch(url, options)).text()));
  assert.equal(listener.connections, 2);
  assert.equal(listener.asked.length, 12);
  await fetch.close();
  await listener.close();
});

test("too many requests, and too many hosts in use, are refused at once", async () => {
  const listener = await listen((_, response) => response.write("a"));
  const url = (host: string) => `http://${host}:${listener.port}/`;
  const requests = fetchWith({ maxRequests: 1 });
  const first = await requests(url("a.example"), options);
  await assert.rejects(requests(url("a.example"), options), failedBy("busy"));
  await first.body.cancel();
  await (await requests(url("a.example"), options)).body.cancel();
  await requests.close();
  const hosts = fetchWith({ maxHosts: 1 });
  const used = await hosts(url("a.example"), options);
  await assert.rejects(hosts(url("b.example"), options), failedBy("busy"));
  await used.body.cancel();
  await (await hosts(url("b.example"), options)).body.cancel();
  await hosts.close();
  await listener.close();
});

test("an answer that nobody reads gives its place back when its time is over", async () => {
  const listener = await listen((_, response) => response.write("a"));
  const fetch = fetchWith({ maxRequests: 1, maxHosts: 1 });
  const unread = await fetch(`http://a.example:${listener.port}/`, { ...options, timeoutMs: 3_000 });
  const other = () => fetch(`http://b.example:${listener.port}/`, options);
  const next = await until(() => other().catch(() => undefined), "the place is free");
  await next.body.cancel();
  await assert.rejects(unread.text(), failedBy("timeout"));
  await fetch.close();
  await listener.close();
});

test("the next address is tried where one does not answer", async () => {
  const listener = await listen((_, response) => response.end("ok"), { address: "127.0.0.5" });
  const fetch = fetchWith({ addresses: async () => ["127.0.0.6", "127.0.0.7", "127.0.0.5"] });
  assert.equal(await (await fetch(`http://a.example:${listener.port}/`, options)).text(), "ok");
  await fetch.close();
  await listener.close();
});
