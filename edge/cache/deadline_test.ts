import assert from "node:assert/strict";
import { test } from "node:test";
import { DeadlineExceeded, withDeadline } from "./deadline.ts";

test("withDeadline gives what comes in time, and its errors", async () => {
  const discarded: number[] = [];
  assert.equal(
    await withDeadline(
      30_000,
      "it",
      async () => 1,
      (late) => discarded.push(late),
    ),
    1,
  );
  await assert.rejects(
    withDeadline(30_000, "it", () => Promise.reject(new Error("broken"))),
    /broken/,
  );
  assert.deepEqual(discarded, []);
});

test("withDeadline gives up on what does not come in time, and discards what comes then", async () => {
  const slow = Promise.withResolvers<number>();
  const discarded = Promise.withResolvers<number>();
  await assert.rejects(
    withDeadline(5, "it", () => slow.promise, discarded.resolve),
    DeadlineExceeded,
  );
  slow.resolve(7);
  assert.equal(await discarded.promise, 7);
});

test("withDeadline ignores an error that comes too late", async () => {
  const slow = Promise.withResolvers<number>();
  await assert.rejects(
    withDeadline(5, "it", () => slow.promise),
    DeadlineExceeded,
  );
  slow.reject(new Error("nobody hears it"));
});

test("withDeadline tells the work that its time is over, and leaves alone what came in time", async () => {
  let told: AbortSignal | undefined;
  const never = (signal: AbortSignal) => {
    told = signal;
    return new Promise<never>(() => undefined);
  };
  await assert.rejects(withDeadline(5, "it", never), DeadlineExceeded);
  assert.equal(told?.aborted, true);
  const signal = await withDeadline(5, "it", async (given) => given);
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(signal.aborted, false);
});
