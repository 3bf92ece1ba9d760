import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { idleTimeout, raceAbort, sleep, timeout } from "./time.ts";

const never = new Promise<never>(() => {});
const aborted = (signal: AbortSignal) => raceAbort(never, signal).catch((reason: Error) => reason);

test("who sleeps wakes in time, or when the signal aborts, and leaves nothing with it", async () => {
  const giveUp = new AbortController();
  await sleep(1, giveUp.signal);
  assert.equal(getEventListeners(giveUp.signal, "abort").length, 0);
  const asleep = sleep(60_000, giveUp.signal);
  giveUp.abort();
  await asleep;
  await sleep(60_000, giveUp.signal);
});

test("a timeout aborts by itself, or with the signal that it was given and its reason", async () => {
  assert.equal((await aborted(timeout(1))).name, "TimeoutError");
  assert.equal((await aborted(timeout(1, new AbortController().signal))).name, "TimeoutError");
  assert.match((await aborted(timeout(60_000, AbortSignal.abort(new Error("enough"))))).message, /enough/);
});

test("the outcome of the work is the outcome, good or bad, and leaves nothing behind", async () => {
  const { signal } = new AbortController();
  assert.equal(await raceAbort(Promise.resolve(7), signal), 7);
  await assert.rejects(raceAbort(Promise.reject(new Error("bad")), signal), /bad/);
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("a signal that aborts, or has aborted, ends the waiting with its reason", async () => {
  const giveUp = new AbortController();
  const waiting = raceAbort(never, giveUp.signal);
  giveUp.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  await assert.rejects(raceAbort(never, giveUp.signal), /enough/);
  await assert.rejects(raceAbort(Promise.reject(new Error("late")), giveUp.signal), /enough/);
});

test("an idle timeout aborts when nothing was noted for so long, unless it was stopped", async () => {
  const silent = idleTimeout(1, () => new Error("gone silent"));
  assert.match((await aborted(silent.signal)).message, /gone silent/);
  const alive = idleTimeout(400, () => new Error("gone silent"));
  for (let step = 0; step < 3; step += 1) {
    await sleep(150);
    alive.touch();
  }
  alive.stop();
  assert.equal(alive.signal.aborted, false);
});
