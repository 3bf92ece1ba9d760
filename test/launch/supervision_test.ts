import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { afterEach, beforeEach, describe, test } from "node:test";
import { breakOff } from "../support/break_off.ts";
import { ask } from "../support/http.ts";
import { until } from "../support/until.ts";
import { descendants } from "./spawn_cli.ts";
import { isHit, pidOf, startFolder, startTiers, uploadUntilHit } from "./tiers.ts";

const UPLOAD = { method: "POST", path: "/_matrix/media/v3/upload", length: 1_000_000 } as const;
const CREATE = { method: "POST", path: "/_matrix/media/v1/create", length: 600 } as const;

let folder = "";
beforeEach(async () => {
  folder = await startFolder();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("both tiers stay up", { timeout: 240_000 }, () => {
  test("when clients leave in the middle of their uploads, ten times in a row", async (t) => {
    const tiers = await startTiers(t, folder);
    const { command, facts, token } = tiers;
    const before = descendants(command.pid);
    for (let times = 0; times < 10; times += 1) {
      for (const broken of [UPLOAD, CREATE]) await breakOff(facts.edge, { ...broken, token });
    }
    await uploadUntilHit(tiers, "a whole upload after all the broken ones");
    assert.deepEqual(descendants(command.pid), before, "one of them is another process");
    assert.doesNotMatch(command.said(), /has ended/);
  });

  for (const [name, what] of [
    ["the origin", "/origin/main.ts"],
    ["the edge", "/edge_process.ts"],
    ["the edge", "/workerd"],
  ] as const) {
    test(`when ${what} is killed: ${name} is started again, and the other tier answers all the time`, async (t) => {
      const tiers = await startTiers(t, folder);
      const { command, facts, token } = tiers;
      const path = await uploadUntilHit(tiers, "served all the time");
      const [killed, other] = name === "the origin" ? [facts.origin, facts.edge] : [facts.edge, facts.origin];
      const load = keepAsking(other, path, token);
      const began = performance.now();
      process.kill(pidOf(command, what), "SIGKILL");
      await command.says(new RegExp(`${name} has ended \\((signal SIGKILL|exit code 1)\\): starting it again\\n`));
      await until(() => servesAgain(killed, path, token), "it does not answer again");
      t.diagnostic(`it answered again after ${Math.round(performance.now() - began)} ms`);
      await command.says(new RegExp(`${name} answers again`));
      const { statuses, hits } = await load.end();
      assert.deepEqual([...statuses], [200], "the other tier's requests were touched");
      if (other === facts.edge) assert.ok(hits, "the edge has asked the origin");
      await uploadUntilHit(tiers, "both do all they should");
    });
  }

  test("under `wrangler dev`, whose proxy ends of a client that leaves: it is started again", async (t) => {
    const tiers = await startTiers(t, folder, ["--wrangler-dev"]);
    const { command, facts, token } = tiers;
    await uploadUntilHit(tiers, "served by the edge under wrangler");
    await until(async () => {
      await breakOff(facts.edge, { ...UPLOAD, token }).catch(() => {});
      return /the edge has ended/.test(command.said());
    }, "its proxy does not end");
    await command.says(/the edge answers again/);
    assert.doesNotMatch(command.said(), /the origin has ended/);
    await uploadUntilHit(tiers, "served again");
  });
});

/** Downloads one after another. */
function keepAsking(base: string, path: string, token: string) {
  const statuses = new Set<number | string>();
  let hits = true;
  let over = false;
  const asking = (async () => {
    while (!over) {
      const heard = await ask(base, path, { token }).catch((error: Error) => error.message);
      statuses.add(typeof heard === "string" ? heard : heard.status);
      hits &&= typeof heard !== "string" && isHit(heard.headers["cache-status"]);
    }
  })();
  return {
    async end() {
      over = true;
      await asking;
      return { statuses, hits };
    },
  };
}

async function servesAgain(base: string, path: string, token: string): Promise<boolean> {
  return await ask(base, path, { token }).then(
    ({ status }) => status === 200,
    () => false,
  );
}
