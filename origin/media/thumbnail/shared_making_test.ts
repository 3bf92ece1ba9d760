import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { type Claim, FairQueue } from "../../platform/fair_queue.ts";
import { SharedMaking, type Turn } from "./shared_making.ts";

const claimOf = (name: string): Claim => [{ name, weight: 1 }];
let line: FairQueue;
let making: SharedMaking<string>;
let begun: string[];
beforeEach(() => {
  line = new FairQueue({ atOnce: 4, waiting: 10, waitMs: 60_000, refuse: () => new Error("no turn") });
  making = new SharedMaking((claim) => line.ticket(claim));
  begun = [];
});

/** Something that is made in its turn, once it is let go. */
function work(name: string) {
  const gate = Promise.withResolvers<string>();
  const run = ({ ticket }: Turn) =>
    ticket.run(async () => {
      begun.push(name);
      return await gate.promise;
    });
  return { run, end: () => gate.resolve(name), fail: () => gate.reject(new Error(name)) };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

test("what several want at once is made once, and again for who comes later", async () => {
  const [first, second] = [work("first"), work("second")];
  const wanted = [making.run("a", claimOf("x"), first.run), making.run("a", claimOf("y"), second.run)];
  await settle();
  first.end();
  assert.deepEqual(await Promise.all(wanted), ["first", "first"]);
  const later = making.run("a", claimOf("x"), second.run);
  second.end();
  assert.equal(await later, "second");
});

test("what somebody wants who has many places already is made at once when another wants it too", async () => {
  for (const at of [0, 1, 2]) void making.run(`other ${at}`, claimOf("busy"), work(`other ${at}`).run);
  const wanted = work("wanted");
  const made = making.run("wanted", claimOf("busy"), wanted.run);
  await settle();
  assert.ok(!begun.includes("wanted"));
  const joined = making.run("wanted", claimOf("new"), wanted.run);
  await settle();
  assert.ok(begun.includes("wanted"));
  wanted.end();
  assert.deepEqual(await Promise.all([made, joined]), ["wanted", "wanted"]);
});

test("a failure is everybody's who waits, nobody's who has left, and is not remembered", async () => {
  const [failing, good] = [work("failing"), work("good")];
  void making.run("a", claimOf("gone"), failing.run);
  const waiting = making.run("a", claimOf("x"), failing.run);
  failing.fail();
  await assert.rejects(waiting, /failing/);
  const later = making.run("a", claimOf("x"), good.run);
  good.end();
  assert.equal(await later, "good");
});
