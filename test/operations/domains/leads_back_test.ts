import assert from "node:assert/strict";
import { test } from "node:test";
import { makeLog } from "../../../origin/platform/log.ts";
import { startProxy } from "../../interop/reverse_proxy.ts";
import { ACCOUNTS, startOrigin, startStack } from "../../support/app.ts";
import { freePort } from "../../support/free_port.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, type Heard, jsonOf } from "../../support/http.ts";
import type { Lifetime } from "../../support/lifetime.ts";

/** A csApi that is the public name: the proxy in front sends `versions` and `logout` to us again. */

const VERSIONS = "/_matrix/client/versions";
const LOGOUT = "/_matrix/client/v3/logout";
const CONFIG = "/_matrix/client/v1/media/config";

/** Both tiers, whose csApi is a proxy in front of one of them, as the README has it. */
async function startLoop(t: Lifetime, tier: "origin" | "edge") {
  const said: string[] = [];
  const homeserver = await startHomeserver(ACCOUNTS);
  t.after(() => homeserver.close());
  let front = "";
  const proxy = await startProxy(t, { media: () => front, homeserver: homeserver.url });
  const stack = await startStack(t, {
    homeservers: { "example.org": proxy },
    yaml: "timeouts: { clientServerTimeoutSeconds: 60 }\n",
    overrides: { log: makeLog({ level: "info", json: true, write: (line) => void said.push(line) }) },
  });
  front = stack.tiers[tier];
  return { stack, proxy, homeserver, lines: () => said.filter((line) => line.includes("leads back")) };
}

function isLoop(heard: Heard): void {
  assert.equal(heard.status, 508, heard.body.toString());
  const { errcode, mr_errcode, error } = jsonOf(heard);
  assert.equal(errcode, "M_UNKNOWN");
  assert.equal(mr_errcode, "M_LEADS_BACK");
  assert.match(String(error), /csApi/);
}

for (const tier of ["origin", "edge"] as const) {
  test(`a csApi that leads back to the ${tier} is answered at once, and said once by its key`, async (t) => {
    const { stack, proxy, homeserver, lines } = await startLoop(t, tier);
    // Nobody waits for the 60 s of the timeout, or the test's own would be over; nor does the circuit open, after 10 failures.
    for (const base of [stack.tiers.origin, stack.tiers.edge, proxy]) {
      for (let times = 0; times < 12; times += 1) isLoop(await ask(base, VERSIONS));
      isLoop(await ask(base, LOGOUT, { method: "POST", token: "token_of_user" }));
    }
    assert.equal(lines().length, 1, lines().join("\n"));
    assert.match(
      lines()[0] ?? "",
      /homeservers\[\]\.csApi.*csApi of example\.org leads back to this media repository: set/,
    );
    assert.ok(!homeserver.asked.includes(VERSIONS) && !homeserver.asked.includes(LOGOUT));
    // What does reach the homeserver works.
    for (const base of Object.values(stack.tiers)) {
      assert.equal((await ask(base, CONFIG, { token: "token_of_user" })).status, 200);
    }
  });
}

test("a mark that is not ours means nothing, and a probe is told whom it has reached", async (t) => {
  const stack = await startStack(t);
  for (const base of Object.values(stack.tiers)) {
    for (const mark of ["", "x", "example.org", `${"A".repeat(43)} example.org`, "probe probe"]) {
      const heard = await ask(base, VERSIONS, { headers: { "x-mxcdn-question": mark } });
      assert.equal(heard.status, 200, mark);
    }
    isLoop(await ask(base, VERSIONS, { headers: { "x-mxcdn-question": "probe" } }));
  }
});

test("so is a csApi that is our own port, whatever is asked of it", async (t) => {
  const port = await freePort();
  const { url } = await startOrigin(t, {
    homeservers: { "example.org": `http://127.0.0.1:${port}` },
    yaml: `repo: { bindAddress: 127.0.0.1, port: ${port} }\n`,
  });
  for (let times = 0; times < 12; times += 1) isLoop(await ask(url, CONFIG, { token: "token_of_user" }));
  isLoop(await ask(url, VERSIONS));
});
