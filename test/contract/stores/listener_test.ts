import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import type { PayloadListener } from "../../../origin/stores/db/database.ts";
import { PostgresListener } from "../../../origin/stores/db/postgres_listener.ts";
import { databaseKinds, newDatabase } from "../../support/database.ts";
import type { Lifetime } from "../../support/lifetime.ts";
import { layWire } from "../../support/wire.ts";

const skip = databaseKinds().find((kind) => kind.name === "postgres")?.skip ?? false;
const PATIENCE = { heartbeatMs: 50, silenceMs: 2_000 };

async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; waited < 30_000; waited += 20) {
    if (await condition()) return;
    await sleep(20);
  }
  assert.fail("it did not happen");
}

describe("listening to Postgres over a wire", { skip }, () => {
  async function open(t: Lifetime) {
    const database = await newDatabase(2);
    const db = await database.open();
    const wire = await layWire(t, database.url);
    const listener = new PostgresListener(() => new pg.Client({ connectionString: wire.url }), PATIENCE);
    const heard: string[] = [];
    const hearer = (name: string): PayloadListener => ({
      onPayload: (payload) => void heard.push(`${name} ${payload}`),
      onReconnect: () => void heard.push(`${name} gap`),
    });
    t.after(async () => {
      await listener.close();
      await db.close();
      await database.drop();
    });
    const say = (channel: string, payload: string) => db.query("SELECT pg_notify($1, $2)", [channel, payload]);
    return { wire, listener, hearer, heard, say };
  }

  test("what is missed while it is cut is told as a gap, once, on every channel, when all is heard again", async (t) => {
    const { wire, listener, hearer, heard, say } = await open(t);
    await listener.listen("a", hearer("a"));
    const stop = await listener.listen("b", hearer("b"));
    await listener.listen("c", hearer("c"));
    await stop();
    await say("a", "before");
    await eventually(() => heard.length === 1);
    wire.cut();
    await say("a", "missed");
    wire.mend();
    await eventually(() => heard.length >= 3);
    await say("a", "after");
    await eventually(() => heard.length >= 4);
    assert.deepEqual(heard, ["a before", "a gap", "c gap", "a after"]);
  });

  test("a connection that was cut off in silence is found out and replaced", async (t) => {
    const { wire, listener, hearer, heard, say } = await open(t);
    await listener.listen("a", hearer("a"));
    await sleep(4 * PATIENCE.heartbeatMs);
    assert.equal(wire.carried, 1, "while it lives it stays");
    wire.silence();
    await say("a", "missed");
    await eventually(() => heard.length >= 1);
    assert.deepEqual(heard, ["a gap"]);
    await say("a", "after");
    await eventually(() => heard.length >= 2);
    assert.deepEqual(heard, ["a gap", "a after"]);
    assert.ok(wire.carried > 1);
  });

  test("a channel that is asked for while it is cut fails, and the others are heard again all the same", async (t) => {
    const { wire, listener, hearer, heard } = await open(t);
    await listener.listen("a", hearer("a"));
    wire.cut();
    await assert.rejects(async () => {
      // Until it has been noticed that the connection is gone.
      for (let waited = 0; waited < 30_000; waited += 20) {
        await listener.listen("b", hearer("b"));
        await sleep(20);
      }
    });
    wire.mend();
    await eventually(() => heard.includes("a gap"));
    assert.ok(!heard.includes("b gap"));
  });

  test("closing does not wait for a server that has fallen silent", async (t) => {
    const { wire, listener, hearer } = await open(t);
    await listener.listen("a", hearer("a"));
    wire.silence();
    await listener.close();
  });
});
