import assert from "node:assert/strict";
import { test } from "node:test";
import { SingleFlight } from "./work_queue.ts";

test("SingleFlight runs the work once for all who ask at the same time", async () => {
  const flight = new SingleFlight<number>();
  let runs = 0;
  const work = async () => {
    runs += 1;
    await new Promise((resolve) => setImmediate(resolve));
    return 7;
  };
  assert.deepEqual(await Promise.all([flight.run("a", work), flight.run("a", work), flight.run("a", work)]), [7, 7, 7]);
  assert.equal(runs, 1);
  assert.equal(flight.size, 0);
});

test("SingleFlight keeps keys apart and forgets what has settled", async () => {
  const flight = new SingleFlight<string>();
  const seen: string[] = [];
  const work = (name: string) => async () => {
    seen.push(name);
    return name;
  };
  await Promise.all([flight.run("a", work("a1")), flight.run("b", work("b1"))]);
  assert.equal(await flight.run("a", work("a2")), "a2");
  assert.deepEqual(seen, ["a1", "b1", "a2"]);
});

test("SingleFlight hands a failure to everybody who waited, then starts anew", async () => {
  const flight = new SingleFlight<string>();
  const fail = async () => {
    throw new Error("no");
  };
  const both = await Promise.allSettled([flight.run("a", fail), flight.run("a", fail)]);
  assert.deepEqual(
    both.map((one) => one.status),
    ["rejected", "rejected"],
  );
  assert.equal(await flight.run("a", async () => "yes"), "yes");
});
