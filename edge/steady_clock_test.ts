import assert from "node:assert/strict";
import { test } from "node:test";
import { makeSteadyClock } from "./steady_clock.ts";

const HOUR_MS = 3_600_000;

test("it goes as the time of day does, and forward with it", () => {
  let now = 1_000_000;
  const steady = makeSteadyClock(() => now);
  const began = steady();
  now += 1_500;
  assert.equal(steady() - began, 1_500);
  now += HOUR_MS;
  assert.equal(steady() - began, HOUR_MS + 1_500);
});

test("when the time of day is set back, everything is old at once, and time goes on from there", () => {
  let now = 10 * HOUR_MS;
  const steady = makeSteadyClock(() => now);
  for (const byMs of [HOUR_MS, 2_000, 5 * HOUR_MS]) {
    const before = steady();
    now -= byMs;
    const after = steady();
    assert.equal(after - before > 24 * HOUR_MS, true);
    now += 700;
    assert.equal(steady() - after, 700);
  }
});

test("a request that is a little behind another takes nothing back", () => {
  let now = 1_000_000;
  const steady = makeSteadyClock(() => now);
  const before = steady();
  now -= 900;
  assert.equal(steady(), before);
  now += 1_000;
  assert.equal(steady(), before + 100);
});
