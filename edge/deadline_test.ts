import assert from "node:assert/strict";
import { test } from "node:test";
import { DeadlineExceeded, withDeadline } from "./deadline.ts";

test("withDeadline() gives the result or the error of the work, and ends a wait without end", async () => {
  assert.equal(await withDeadline(Promise.resolve(1), 1_000, "it"), 1);
  await assert.rejects(withDeadline(Promise.reject(new Error("its own")), 1_000, "it"), /its own/);
  await assert.rejects(withDeadline(new Promise(() => undefined), 10, "it"), DeadlineExceeded);
});
