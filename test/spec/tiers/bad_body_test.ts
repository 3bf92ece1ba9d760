import assert from "node:assert/strict";
import { connect } from "node:net";
import { before, describe, test } from "node:test";
import { startStack, type TestStack } from "../../support/app.ts";
import { listFiles } from "../../support/files.ts";
import { ask, jsonOf } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { talk } from "../access/talk.ts";

const USER = "token_of_user";
const MAX_BYTES = 1_000_000;
const BODY_IDLE_MS = 700;
const STEP_MS = 50;
/** Longer than a body may stand still. */
const QUIET_MS = 900;
const lifetime = lifetimeOfSuite();
let stack: TestStack;
/** One that waits for no body long. */
let hasty: TestStack;

before(async () => {
  stack = await startStack(lifetime, { yaml: `uploads: { maxBytes: ${MAX_BYTES} }` });
  hasty = await startStack(lifetime, { overrides: { bodyIdleMs: BODY_IDLE_MS } });
});

const head = (more: string) =>
  `POST /_matrix/media/v3/upload HTTP/1.1\r\nHost: example.org\r\nAuthorization: Bearer ${USER}\r\nConnection: close\r\n${more}\r\n`;

async function mediaFiles(of: TestStack): Promise<number> {
  return (await listFiles(`${of.origin.folder}/media`)).length;
}

/** How many files there are once the test before has left nothing behind that is still to go. */
async function settledFiles(of: TestStack): Promise<number> {
  for (let waited = 0; ; waited += STEP_MS) {
    const files = await listFiles(`${of.origin.folder}/media`);
    if (!files.some((file) => file.endsWith(".part"))) return files.length;
    assert.ok(waited < 60_000, "a test before has left a temporary file");
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
}

/** Nothing of a refused upload is left, neither an object nor a temporary file, and nothing comes late. */
async function leavesNothing(of: TestStack, work: () => Promise<unknown>): Promise<void> {
  const before = await settledFiles(of);
  await work();
  for (let quiet = 0, waited = 0; quiet < QUIET_MS; waited += STEP_MS) {
    assert.ok(waited < 60_000, `${(await mediaFiles(of)) - before} files are left`);
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
    quiet = (await mediaFiles(of)) === before ? quiet + STEP_MS : 0;
  }
}

for (const tier of ["origin", "edge"] as const) {
  describe(`a bad body at the ${tier} has an exact answer`, () => {
    test("#58 a chunked body over the limit: 413 M_TOO_LARGE, and nothing is left", async () => {
      await leavesNothing(stack, async () => {
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
      await leavesNothing(stack, async () => {
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

    // What follows a body is the next request (RFC 9112 §6.3). Node reads it at once and finds that it is none; workerd answers
    // the first request and hangs up.
    const longer = { origin: "400 M_UNKNOWN", edge: "one of the announced length" } as const;
    test(`a body longer than announced: ${longer[tier]}`, async () => {
      const heard = await talk(stack.tiers[tier], [`${head("Content-Length: 200\r\n")}${"y".repeat(400)}`]);
      const [, status, said = "{}"] = /^HTTP\/1.1 (\d+) .*?(\{.*\})/s.exec(heard) ?? [];
      const { errcode, content_uri } = JSON.parse(said);
      if (tier === "origin") {
        assert.deepEqual([status, errcode], ["400", "M_UNKNOWN"]);
        return;
      }
      assert.equal(status, "200");
      const path = `/_matrix/client/v1/media/download/${content_uri.replace("mxc://", "")}`;
      assert.equal((await ask(stack.tiers[tier], path, { token: USER })).body.toString(), "y".repeat(200));
    });

    test("an empty body: 400", async () => {
      const heard = await ask(stack.tiers[tier], "/_matrix/media/v3/upload", { method: "POST", token: USER, body: "" });
      assert.equal(heard.status, 400);
      assert.equal(jsonOf(heard).mr_errcode, "M_MEDIA_TOO_SMALL");
    });

    test("a client that stops sending: 408 in time, and nothing is left", async () => {
      await leavesNothing(hasty, async () => {
        const heard = await talk(hasty.tiers[tier], [head("Content-Length: 5000\r\n"), "x".repeat(100)]);
        assert.match(heard, /^HTTP\/1.1 408 /);
      });
    });

    test("a client that sends one byte at a time: 408 in time, and nothing is left", async () => {
      await leavesNothing(hasty, async () => {
        const drops = Array.from({ length: 60 }, () => "x");
        const heard = await talk(hasty.tiers[tier], [head("Content-Length: 5000\r\n"), ...drops], 50);
        assert.match(heard, /^HTTP\/1.1 408 /);
      });
    });
  });
}

test("an aborted upload leaves nothing at either tier", async () => {
  for (const base of Object.values(stack.tiers)) {
    await leavesNothing(stack, async () => {
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
