import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { unlessAborted } from "./unless_aborted.ts";

const never = new Promise<never>(() => {});

test("the outcome of the work is the outcome, good or bad, and leaves nothing behind", async () => {
  const { signal } = new AbortController();
  assert.equal(await unlessAborted(Promise.resolve(7), signal), 7);
  await assert.rejects(unlessAborted(Promise.reject(new Error("bad")), signal), /bad/);
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("a signal that aborts, or has aborted, ends the waiting with its reason", async () => {
  const giveUp = new AbortController();
  const waiting = unlessAborted(never, giveUp.signal);
  giveUp.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  await assert.rejects(unlessAborted(never, giveUp.signal), /enough/);
  await assert.rejects(unlessAborted(Promise.reject(new Error("late")), giveUp.signal), /enough/);
});
