import assert from "node:assert/strict";
import { test } from "node:test";
import { toMatrixError } from "../../../shared/http/failure_answer.ts";
import { isFailure } from "../../../shared/matrix/failure.ts";
import { cannotRead, cannotStore, telling } from "./store_trouble.ts";

const never = new AbortController().signal;

test("whatever a store throws becomes what a client is to be told, with the cause kept for the log", async () => {
  const cause = new Error("/secret/path: EIO");
  const failing = telling(cannotRead, never, () => Promise.reject(cause));
  await assert.rejects(failing, (thrown: unknown) => {
    const error = toMatrixError(thrown);
    assert.deepEqual([error.errcode, error.status, error.retryAfterMs], ["M_UNKNOWN", 503, 5_000]);
    assert.ok(!error.message.includes("secret"));
    assert.equal(error.cause, cause);
    return true;
  });
  assert.equal(await telling(cannotRead, never, async () => 1), 1);
});

test("no room left is 507, on a disk and in a bucket", () => {
  const full = [
    Object.assign(new Error("write"), { code: "ENOSPC" }),
    Object.assign(new Error("write"), { code: "EDQUOT" }),
    Object.assign(new Error("put"), { name: "XMinioStorageFull" }),
    Object.assign(new Error("put"), { $metadata: { httpStatusCode: 507 } }),
  ];
  for (const cause of full) {
    assert.equal(toMatrixError(cannotStore(cause)).status, 507);
    assert.match(cannotStore(cause).message, /no room left/);
  }
  for (const other of [undefined, null, "ENOSPC", new Error("ENOSPC"), { code: "EIO" }])
    assert.equal(toMatrixError(cannotStore(other)).status, 503);
});

test("a deadline that has passed is the store's; that somebody has left is nobody's", async () => {
  const passed = AbortSignal.abort(new DOMException("too late", "TimeoutError"));
  await assert.rejects(
    telling(cannotStore, passed, async () => {}),
    (error) => isFailure(error, "unavailable"),
  );
  const left = AbortSignal.abort(new Error("the client went away"));
  await assert.rejects(
    telling(cannotStore, left, async () => {}),
    /the client went away/,
  );
});
