import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import { makeLog } from "../../../origin/platform/log.ts";
import { HOP_HEADERS, hopHeaders } from "../../../shared/tiers/hop.ts";
import { HOP_SECRET, startStack, type TestStack } from "../../support/app.ts";
import { type Asking, ask, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";

/** The signed hop between the tiers: a request whose signature is not believed is nobody's, least of all the Worker's own. */

const USER = "token_of_user";
const CONFIG = "/_matrix/client/v1/media/config";

/** Everything that is done through the edge. */
const ASKED: readonly [string, string, Asking][] = [
  ["an upload", "/_matrix/media/v3/upload", { method: "POST", body: "words ".repeat(50) }],
  ["a question", CONFIG, {}],
  ["a download", "/_matrix/client/v1/media/download/example.org/abc", {}],
  ["a download without a token", "/_matrix/media/v3/download/example.org/abc", { token: undefined }],
];

describe("with the clocks of the tiers more than a minute apart", () => {
  const lifetime = lifetimeOfSuite();
  const said: string[] = [];
  let stack: TestStack;
  before(async () => {
    const log = makeLog({ level: "warn", json: true, write: (line) => void said.push(line) });
    stack = await startStack(lifetime, { overrides: { clock: () => Date.now() + 90_000, log } });
  });

  for (const [name, path, asking] of ASKED) {
    test(`${name} is refused by the edge, which names what may be the cause, and the origin's log what is`, async () => {
      said.length = 0;
      const heard = await ask(stack.tiers.edge, path, { token: USER, ...asking });
      assert.deepEqual([heard.status, jsonOf(heard).errcode], [502, "M_UNKNOWN"], heard.body.toString());
      assert.match(String(jsonOf(heard).error), /HOP_SECRET.*clocks/);
      assert.ok(heard.headers["retry-after"]);
      assert.equal(heard.headers["mxcdn-hop-refused"], undefined);
      assert.match(said.join(""), /"reason":"age"/);
    });
  }

  test("the origin itself goes on", async () => {
    await upload(stack.tiers.origin, USER, "words ".repeat(50));
  });
});

describe("a request with a hop that proves nothing", () => {
  const lifetime = lifetimeOfSuite();
  const said: string[] = [];
  let stack: TestStack;
  let hop: Record<string, string>;
  before(async () => {
    const log = makeLog({ level: "warn", json: true, write: (line) => void said.push(line) });
    stack = await startStack(lifetime, { overrides: { log } });
  });
  beforeEach(async () => {
    hop = await signed(HOP_SECRET);
  });

  const signed = (secret: string, more: { target?: string; timeMs?: number } = {}) =>
    hopHeaders(secret, {
      ...{ method: "GET", target: CONFIG, host: "example.org", clientAddress: "203.0.113.7", requestId: "r-1" },
      ...{ timeMs: Date.now(), ...more },
    });
  const get = (headers: Record<string, string>) => ask(stack.tiers.origin, CONFIG, { token: USER, headers });

  test("is refused, with its reason in the log and for the edge", async () => {
    const { [HOP_HEADERS.target]: _, ...incomplete } = hop;
    const hops: [string, Record<string, string>][] = [
      ["form", { [HOP_HEADERS.signature]: "v1,t=1,sig=00" }],
      ["form", incomplete],
      ["signature", await signed("another secret")],
      ["signature", { ...hop, [HOP_HEADERS.host]: "victim.example" }],
      ["age", await signed(HOP_SECRET, { timeMs: Date.now() - 70_000 })],
      ["age", await signed(HOP_SECRET, { timeMs: Date.now() + 70_000 })],
      ["target", await signed(HOP_SECRET, { target: "/_matrix/media/v3/config" })],
    ];
    for (const [reason, headers] of hops) {
      said.length = 0;
      const heard = await get(headers);
      assert.deepEqual([heard.status, jsonOf(heard).errcode], [403, "M_FORBIDDEN"], reason);
      assert.equal(heard.headers["mxcdn-hop-refused"], reason);
      assert.match(said.join(""), new RegExp(`"reason":"${reason}"`));
      assert.doesNotMatch(said.join("") + heard.body, new RegExp(HOP_SECRET));
    }
    assert.equal((await get(hop)).status, 200);
    assert.equal((await get({})).status, 200);
  });
});

describe("what a client says to the edge of the connection", () => {
  const lifetime = lifetimeOfSuite();

  test("takes nothing of the hop away", async () => {
    const stack = await startStack(lifetime);
    for (const headers of [
      { connection: "mxcdn-hop, x-forwarded-host" },
      { connection: "close, mxcdn-hop", "keep-alive": "timeout=5" },
    ]) {
      const heard = await ask(stack.tiers.edge, CONFIG, { token: USER, headers });
      assert.equal(heard.status, 200, `${JSON.stringify(headers)}: ${heard.body}`);
    }
  });
});
