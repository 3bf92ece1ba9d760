import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { afterEach, beforeEach, describe, test } from "node:test";
import { breakOff } from "../../support/break_off.ts";
import { ask } from "../../support/http.ts";
import { until } from "../../support/until.ts";
import { descendants } from "./spawn_cli.ts";
import { isHit, pidOf, startFolder, startTiers, uploadUntilHit } from "./tiers.ts";

const UPLOAD = { method: "POST", path: "/_matrix/media/v3/upload", length: 1_000_000 } as const;
const CREATE = { method: "POST", path: "/_matrix/media/v1/create", length: 600 } as const;

/** Whom to kill: the tier, and how its process is known. */
const CHILDREN = [
  ["the origin", "/origin/main.ts"],
  ["the edge", "/edge_process.ts"],
  ["the edge", "/workerd"],
] as const;
/** Each of them once, and then at random. */
const KILLS = Number(process.env.MXCDN_TEST_KILLS ?? CHILDREN.length);
/** How many download at the same time. */
const READERS = 4;

let folder = "";
beforeEach(async () => {
  folder = await startFolder();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("both tiers stay up", { timeout: 240_000 + KILLS * 10_000 }, () => {
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

  test(`when any process is killed under load, ${KILLS} times: the other tier's requests are untouched`, async (t) => {
    const tiers = await startTiers(t, folder);
    const { command, facts, token } = tiers;
    const path = await uploadUntilHit(tiers, "served all the time");
    const took: number[] = [];
    for (let times = 0; times < KILLS; times += 1) {
      const [name, what] =
        CHILDREN[times < CHILDREN.length ? times : Math.floor(Math.random() * CHILDREN.length)] ?? [];
      const [killed, other] = name === "the origin" ? [facts.origin, facts.edge] : [facts.edge, facts.origin];
      const load = keepAsking(other, path, token);
      t.after(() => load.end());
      const heard = command.said().length;
      const began = performance.now();
      process.kill(pidOf(command, what ?? ""), "SIGKILL");
      await until(() => command.said().slice(heard).includes(`${name} has ended`), "its end is not noticed");
      const answers = new Set<string>();
      await until(() => servesAgain(killed, path, token, answers), "it").catch((error: Error) => {
        throw new Error(`${error.message}: ${name} (${what}): ${[...answers]}\n${command.said().slice(-3_000)}`);
      });
      took.push(Math.round(performance.now() - began));
      await until(() => command.said().slice(heard).includes(`${name} answers again`), "its return is not said");
      const { statuses, hits } = await load.end();
      assert.deepEqual(
        [...statuses],
        [200],
        `${name} was killed (${what}), and the other tier's requests were touched`,
      );
      if (other === facts.edge) assert.ok(hits, "the edge has asked the origin");
    }
    t.diagnostic(`it answered again after ${took.toSorted((a, b) => a - b).join(", ")} ms`);
    assert.match(command.said(), /mxcdn: the origin has ended \(signal SIGKILL\): starting it again\n/);
    assert.match(command.said(), /mxcdn: the edge has ended \(signal SIGKILL\): starting it again\n/);
    assert.match(command.said(), /workerd, which runs the edge's Worker, has ended/);
    await uploadUntilHit(tiers, "both do all they should");
  });

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

/** Downloads again and again, several at a time. */
function keepAsking(base: string, path: string, token: string) {
  const statuses = new Set<number | string>();
  let hits = true;
  let over = false;
  const readOn = async () => {
    while (!over) {
      const heard = await ask(base, path, { token }).catch((error: Error) => error.message);
      statuses.add(typeof heard === "string" ? heard : heard.status);
      hits &&= typeof heard !== "string" && isHit(heard.headers["cache-status"]);
    }
  };
  const asking = Array.from({ length: READERS }, readOn);
  return {
    async end() {
      over = true;
      await Promise.all(asking);
      return { statuses, hits };
    },
  };
}

async function servesAgain(base: string, path: string, token: string, answers: Set<string>): Promise<boolean> {
  const heard = await ask(base, path, { token }).catch((error: Error) => error);
  answers.add(heard instanceof Error ? heard.message : String(heard.status));
  return !(heard instanceof Error) && heard.status === 200;
}
