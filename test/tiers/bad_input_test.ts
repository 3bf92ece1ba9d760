import assert from "node:assert/strict";
import { connect } from "node:net";
import { before, describe, test } from "node:test";
import { startStack, type TestStack } from "../support/app.ts";
import { listFiles } from "../support/files.ts";
import { ask, jsonOf, upload } from "../support/http.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";

const USER = "token_of_user";
const MAX_BYTES = 1_000_000;
const BODY_IDLE_MS = 700;
const STEP_MS = 50;
/** Longer than a body may stand still. */
const QUIET_MS = 900;
const lifetime = lifetimeOfSuite();
let stack: TestStack;
let id: string;

before(async () => {
  stack = await startStack(lifetime, {
    yaml: `uploads: { maxBytes: ${MAX_BYTES} }\nrateLimit: { enabled: false }`,
    overrides: { bodyIdleMs: BODY_IDLE_MS },
  });
  id = await upload(stack.tiers.origin, USER, "words ".repeat(100));
});

/** Sends bytes as they are, piece by piece, and hears whatever comes until the connection ends. */
function talk(base: string, pieces: readonly (string | Buffer)[], betweenMs = 0): Promise<string> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    const heard: Buffer[] = [];
    socket.setTimeout(15_000, () => socket.destroy(new Error("no end within 15 s")));
    socket.on("data", (chunk) => {
      heard.push(chunk);
      if (isWhole(Buffer.concat(heard).toString())) socket.destroy();
    });
    socket.on("error", (error) => (heard.length > 0 ? resolve(Buffer.concat(heard).toString()) : reject(error)));
    socket.on("close", () => resolve(Buffer.concat(heard).toString()));
    socket.on("connect", async () => {
      for (const piece of pieces) {
        if (socket.destroyed) return;
        socket.write(piece);
        if (betweenMs > 0) await new Promise((next) => setTimeout(next, betweenMs));
      }
    });
  });
}

/** Whether an answer with a length has arrived to its end. */
function isWhole(heard: string): boolean {
  const [head = "", body] = heard.split("\r\n\r\n", 2);
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? Number.NaN);
  return body !== undefined && body.length >= length;
}

const head = (more: string) =>
  `POST /_matrix/media/v3/upload HTTP/1.1\r\nHost: example.org\r\nAuthorization: Bearer ${USER}\r\nConnection: close\r\n${more}\r\n`;

async function mediaFiles(): Promise<number> {
  return (await listFiles(`${stack.origin.folder}/media`)).length;
}

/** How many files there are once the test before has left nothing behind that is still to go. */
async function settledFiles(): Promise<number> {
  for (let waited = 0; ; waited += STEP_MS) {
    const files = await listFiles(`${stack.origin.folder}/media`);
    if (!files.some((file) => file.endsWith(".part"))) return files.length;
    assert.ok(waited < 10_000, "a test before has left a temporary file");
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
}

/** Nothing of a refused upload is left, neither an object nor a temporary file, and nothing comes late. */
async function leavesNothing(work: () => Promise<unknown>): Promise<void> {
  const before = await settledFiles();
  await work();
  for (let quiet = 0, waited = 0; quiet < QUIET_MS; waited += STEP_MS) {
    assert.ok(waited < 10_000, `${(await mediaFiles()) - before} files are left`);
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
    quiet = (await mediaFiles()) === before ? quiet + STEP_MS : 0;
  }
}

const PATHS: readonly [string, string, number, string][] = [
  ["a media id of 300 characters", `example.org/${"a".repeat(300)}`, 400, "M_INVALID_PARAM"],
  ["percent-encoded traversal", "example.org/%2e%2e%2f%2e%2e%2fetc", 400, "M_INVALID_PARAM"],
  ["a NUL", "example.org/a%00", 400, "M_INVALID_PARAM"],
  ["an id that is not ASCII", "example.org/%C3%A9", 400, "M_INVALID_PARAM"],
  ["a server name with an underscore", "exa_mple.org/abc", 400, "M_INVALID_PARAM"],
  ["an octet above 255", "256.1.1.1/abc", 400, "M_INVALID_PARAM"],
  ["a port of six digits", "example.org:123456/abc", 400, "M_INVALID_PARAM"],
];

const QUERIES: readonly [string, string, string][] = [
  ["width=0", "width=0&height=1", "M_INVALID_PARAM"],
  ["width=99999999", "width=99999999&height=1", "M_INVALID_PARAM"],
  ["a width that is no number", "width=wide&height=1", "M_INVALID_PARAM"],
  ["a negative height", "width=1&height=-1", "M_INVALID_PARAM"],
  ["no height", "width=1", "M_MISSING_PARAM"],
  ["method=evil", "width=1&height=1&method=evil", "M_INVALID_PARAM"],
  ["animated=maybe", "width=1&height=1&animated=maybe", "M_INVALID_PARAM"],
];

for (const tier of ["origin", "edge"] as const) {
  describe(`bad input at the ${tier} has an exact answer`, () => {
    for (const [name, path, status, errcode] of PATHS) {
      test(`#16 #17 #18 #21 #23 #24 ${name}: ${status} ${errcode}`, async () => {
        for (const kind of ["download", "thumbnail"]) {
          const query = kind === "thumbnail" ? "?width=1&height=1" : "";
          const heard = await ask(stack.tiers[tier], `/_matrix/client/v1/media/${kind}/${path}${query}`, {
            token: USER,
          });
          assert.equal(heard.status, status);
          assert.equal(jsonOf(heard).errcode, errcode);
        }
      });
    }

    for (const [name, query, errcode] of QUERIES) {
      test(`#127 #128 a thumbnail with ${name}: 400 ${errcode}`, async () => {
        const heard = await ask(stack.tiers[tier], `/_matrix/client/v1/media/thumbnail/${id}?${query}`, {
          token: USER,
        });
        assert.equal(heard.status, 400);
        assert.equal(jsonOf(heard).errcode, errcode);
      });
    }

    test("#58 a chunked body over the limit: 413 M_TOO_LARGE, and nothing is left", async () => {
      await leavesNothing(async () => {
        const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
        const pieces = [
          head("Transfer-Encoding: chunked\r\n"),
          ...Array.from({ length: 20 }, () => chunk),
          "0\r\n\r\n",
        ];
        const heard = await talk(stack.tiers[tier], pieces);
        assert.match(heard, /^HTTP\/1.1 413 /);
        assert.match(heard, /M_TOO_LARGE/);
      });
    });

    test("#57 an announced length over the limit: 413 before the body is read", async () => {
      const heard = await talk(stack.tiers[tier], [head(`Content-Length: ${MAX_BYTES + 1}\r\n`), "x"]);
      assert.match(heard, /^HTTP\/1.1 413 /);
      assert.match(heard, /M_TOO_LARGE/);
    });

    test("#62 a body shorter than announced that then ends: no media, and nothing is left", async () => {
      await leavesNothing(async () => {
        const { hostname, port } = new URL(stack.tiers[tier]);
        await new Promise<void>((resolve) => {
          const socket = connect(Number(port), hostname, () => {
            socket.write(head("Content-Length: 5000\r\n"));
            socket.end("x".repeat(1000));
          });
          socket.resume();
          socket.on("close", () => resolve());
          socket.on("error", () => resolve());
        });
      });
    });

    test("a body longer than announced is one of the announced length, or refused", async () => {
      const heard = await talk(stack.tiers[tier], [head("Content-Length: 200\r\n"), "y".repeat(400)]);
      assert.match(heard, /^HTTP\/1.1 (200|400) /);
      const uri = /mxc:\/\/([^"]+)/.exec(heard)?.[1];
      if (uri === undefined) return;
      const back = await ask(stack.tiers[tier], `/_matrix/client/v1/media/download/${uri}`, { token: USER });
      assert.equal(back.body.toString(), "y".repeat(200));
    });

    test("an empty body: 400", async () => {
      const heard = await ask(stack.tiers[tier], "/_matrix/media/v3/upload", { method: "POST", token: USER, body: "" });
      assert.equal(heard.status, 400);
      assert.equal(jsonOf(heard).mr_errcode, "M_MEDIA_TOO_SMALL");
    });

    test("a client that stops sending: 408 in time, and nothing is left", async () => {
      await leavesNothing(async () => {
        const heard = await talk(stack.tiers[tier], [head("Content-Length: 5000\r\n"), "x".repeat(100)]);
        assert.match(heard, /^HTTP\/1.1 408 /);
      });
    });

    test("a client that sends one byte at a time: 408 in time, and nothing is left", async () => {
      await leavesNothing(async () => {
        const drops = Array.from({ length: 60 }, () => "x");
        const heard = await talk(stack.tiers[tier], [head("Content-Length: 5000\r\n"), ...drops], 50);
        assert.match(heard, /^HTTP\/1.1 408 /);
      });
    });

    test("2 MB of query: an error, quickly", async () => {
      const heard = await ask(stack.tiers[tier], `/_matrix/client/v1/media/download/${id}?x=${"y".repeat(2_000_000)}`, {
        token: USER,
      }).catch(() => undefined);
      assert.ok(heard === undefined || [400, 414, 431].includes(heard.status), String(heard?.status));
    });

    test("header bytes that are not ASCII are no header injection", async () => {
      const name = "a\r\nX-Evil: 1\u00e9\u{1F414}.txt";
      const got = await upload(stack.tiers[tier], USER, "words ".repeat(100), { name, type: "text/plain; x=\u00e9" });
      const heard = await ask(stack.tiers[tier], `/_matrix/client/v1/media/download/${got}`, { token: USER });
      assert.equal(heard.status, 200);
      assert.equal(heard.headers["x-evil"], undefined);
      assert.match(heard.headers["content-disposition"] ?? "", /^[\x20-\x7e]+$/);
      assert.match(heard.headers["content-type"] ?? "", /^text\/plain/);
    });

    test("#8 #38 many query tokens, a token of another scheme and a cookie authenticate nobody", async () => {
      for (const headers of [
        { authorization: "Basic abc" },
        { cookie: `access_token=${USER}` },
        { referer: "https://example.org" },
      ]) {
        const heard = await ask(stack.tiers[tier], `/_matrix/client/v1/media/download/${id}`, { headers });
        assert.equal(heard.status, 401);
        assert.equal(jsonOf(heard).errcode, "M_MISSING_TOKEN");
      }
    });
  });
}

test("an aborted upload leaves nothing at either tier", async () => {
  for (const base of Object.values(stack.tiers)) {
    await leavesNothing(async () => {
      const { hostname, port } = new URL(base);
      await new Promise<void>((resolve) => {
        const socket = connect(Number(port), hostname, () => {
          socket.write(head("Content-Length: 500000\r\n"));
          socket.write(Buffer.alloc(100_000));
          setTimeout(() => socket.destroy(), 100);
        });
        socket.on("close", () => resolve());
        socket.on("error", () => resolve());
      });
    });
  }
});
