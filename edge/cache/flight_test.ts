import assert from "node:assert/strict";
import { test } from "node:test";
import { Flight } from "./flight.ts";

test("Flight joins who comes in time, begins anew for who comes later, and forgets what has landed", async () => {
  const flight = new Flight<number>({ joinMs: 100, waitMs: 1_000 });
  const landings: ((value: number) => void)[] = [];
  const fly = (nowMs: number) =>
    flight.run(
      "key",
      nowMs,
      () => new Promise((resolve) => void landings.push(resolve)),
      (work) => void work,
    );
  const first = fly(1_000);
  const joined = fly(1_099);
  const late = fly(1_100);
  assert.equal(landings.length, 2);
  landings[1]?.(2);
  landings[0]?.(1);
  assert.deepEqual(await Promise.all([first, joined, late]), [1, 1, 2]);
  const next = fly(1_101);
  assert.equal(landings.length, 3);
  landings[2]?.(3);
  assert.equal(await next, 3);
});

test("Flight gives an error to everybody who waits, and tries again for the next", async () => {
  const flight = new Flight<number>({ joinMs: 100, waitMs: 1_000 });
  const kept: Promise<unknown>[] = [];
  const fail = async () => {
    throw new Error("down");
  };
  const both = [0, 1].map(() => flight.run("key", 0, fail, (work) => void kept.push(work)));
  for (const waiting of await Promise.allSettled(both)) assert.equal(waiting.status, "rejected");
  assert.equal(kept.length, 1);
  await Promise.all(kept);
  assert.equal(
    await flight.run(
      "key",
      0,
      async () => 1,
      (work) => void work,
    ),
    1,
  );
});
