import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { before, describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { startStack, type TestStack } from "../../support/app.ts";
import { ask, untilHit, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { bytes, download } from "../uploads/stage.ts";

/**
 * Readers that take some bytes of a large download and then no more: they cost neither memory nor the one connection that
 * PGlite has, and nobody else waits for them.
 */

type Tier = "origin" | "edge";

const USER = "token_of_user";
const READERS = 20;
/** At the edge no more than goes into a bucket in one piece: Miniflare's imitation of R2 reads objects of several parts ahead. */
const BODY_BYTES = { origin: 50_000_000, edge: 30_000_000 };
/** What the readers may cost in buffers, and what a measurement of memory is off by; they have asked for six times as much and more. */
const MEMORY_BYTES = 100_000_000;
const lifetime = lifetimeOfSuite();
let stack: TestStack;
let small: string;
const large: Record<Tier, string> = { origin: "", edge: "" };
const sha256: Record<Tier, string> = { origin: "", edge: "" };

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

before(async () => {
  stack = await startStack(lifetime);
  for (const tier of ["origin", "edge"] as const) {
    const body = randomBytes(BODY_BYTES[tier]);
    sha256[tier] = createHash("sha256").update(body).digest("hex");
    large[tier] = await upload(stack.tiers.origin, USER, body);
  }
  small = await upload(stack.tiers.origin, USER, bytes(1_000));
  for (const base of Object.values(stack.tiers)) await ask(base, download(small), { token: USER });
});

interface Reader {
  readonly socket: Socket;
  /** Reads on to the end; the SHA-256 of the whole body. */
  finish(): Promise<string>;
}

/** Begins a download, and stops reading once the head and some of the body have come. */
function beginReading(tier: Tier, isHit: boolean): Promise<Reader> {
  const { hostname, port } = new URL(stack.tiers[tier]);
  const socket = connect(Number(port), hostname);
  lifetime.after(() => socket.destroy());
  socket.write(
    `GET ${download(large[tier])} HTTP/1.1\r\nHost: example.org\r\nAuthorization: Bearer ${USER}\r\nConnection: close\r\n\r\n`,
  );
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("data", (first) => {
      socket.pause();
      const end = first.indexOf("\r\n\r\n") + 4;
      const head = first.subarray(0, end).toString();
      assert.match(head, /^HTTP\/1\.1 200 /);
      assert.match(head, new RegExp(`\r\ncontent-length: ${BODY_BYTES[tier]}\r\n`, "i"));
      assert.equal(/\r\ncache-status: mxcdn-edge; hit\r\n/i.test(head), isHit);
      resolve({ socket, finish: () => finish(socket, first.subarray(end), BODY_BYTES[tier]) });
    });
  });
}

function finish(socket: Socket, beginning: Buffer, length: number): Promise<string> {
  const hash = createHash("sha256").update(beginning);
  let missing = length - beginning.byteLength;
  return new Promise((resolve) => {
    socket.on("data", (chunk) => {
      hash.update(chunk);
      missing -= chunk.byteLength;
      if (missing === 0) resolve(hash.digest("hex"));
    });
    socket.resume();
  });
}

/** Bytes that this process has in use (the origin runs in it), and that the runtime of the edge has resident. */
async function memoryBytes(): Promise<{ origin: number; edge: number }> {
  collectGarbage();
  await pause(50);
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  const edge = readdirSync("/proc")
    .filter((pid) => /^[0-9]+$/.test(pid))
    .map((pid) => statusOf(pid))
    .filter((status) => /^Name:\tworkerd$/m.test(status) && status.includes(`\nPPid:\t${process.pid}\n`))
    .reduce((sum, status) => sum + Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024, 0);
  assert.ok(edge > 0, "the runtime of the edge was not found");
  return { origin: heapUsed + external, edge };
}

function statusOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return "";
  }
}

/** How many files of the datastore this process holds open. */
function openBodies(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(`${stack.origin.folder}/media/`);
    } catch {
      return false;
    }
  }).length;
}

const CASES = [
  ["the origin", "origin", false],
  ["the edge, which has to ask the origin", "edge", false],
  ["the edge, out of its bucket", "edge", true],
] as const;

describe(`${READERS} readers that stop reading`, { skip: process.platform !== "linux" }, () => {
  for (const [name, tier, isHit] of CASES) {
    test(`at ${name}: memory stays flat, others are answered, and what they held is let go`, async () => {
      if (isHit) {
        await untilHit(() => ask(stack.tiers[tier], download(large[tier]), { token: USER, method: "HEAD" }));
      }
      const before = await memoryBytes();
      const readers = await Promise.all(Array.from({ length: READERS }, () => beginReading(tier, isHit)));
      await pause(500);
      await othersAreAnswered(stack.tiers[tier]);
      const after = await memoryBytes();
      assert.ok(after.origin - before.origin < MEMORY_BYTES, `${after.origin - before.origin} bytes at the origin`);
      assert.ok(after.edge - before.edge < MEMORY_BYTES, `${after.edge - before.edge} bytes at the edge`);

      const [one, ...others] = readers;
      for (const { socket } of others) socket.destroy();
      assert.equal(await one?.finish(), sha256[tier], "who reads on gets all of it");
      one?.socket.destroy();
      const deadline = Date.now() + 20_000;
      while (openBodies() > 0) {
        assert.ok(Date.now() < deadline, `${openBodies()} files are still open`);
        await pause(20);
      }
    });
  }
});

async function othersAreAnswered(base: string): Promise<void> {
  const begun = performance.now();
  const { rows } = await stack.origin.app.db.query("SELECT 1 AS one");
  assert.deepEqual(rows, [{ one: 1 }]);
  for (const other of Object.values(stack.tiers)) {
    const asking = () => ask(other, download(small), { token: USER });
    const heard = await Promise.all(Array.from({ length: READERS }, asking));
    assert.ok(heard.every(({ status }) => status === 200));
  }
  await upload(base, USER, bytes());
  assert.ok(performance.now() - begun < 20_000, "others had to wait");
}
