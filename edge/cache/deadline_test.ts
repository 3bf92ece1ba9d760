import assert from "node:assert/strict";
import { test } from "node:test";
import { DeadlineExceeded, withDeadline } from "./deadline.ts";

test("withDeadline gives what comes in time, and its errors", async () => {
  const discarded: number[] = [];
  assert.equal(await withDeadline(Promise.resolve(1), 30_000, "it", (late) => discarded.push(late)), 1);
  await assert.rejects(withDeadline(Promise.reject(new Error("broken")), 30_000, "it"), /broken/);
  assert.deepEqual(discarded, []);
});

test("withDeadline gives up on what does not come in time, and discards what comes then", async () => {
  const slow = Promise.withResolvers<number>();
  const discarded = Promise.withResolvers<number>();
  await assert.rejects(withDeadline(slow.promise, 5, "it", discarded.resolve), DeadlineExceeded);
  slow.resolve(7);
  assert.equal(await discarded.promise, 7);
});

test("withDeadline ignores an error that comes too late", async () => {
  const slow = Promise.withResolvers<number>();
  await assert.rejects(withDeadline(slow.promise, 5, "it"), DeadlineExceeded);
  slow.reject(new Error("nobody hears it"));
});
