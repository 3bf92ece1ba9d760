import assert from "node:assert/strict";
import { test } from "node:test";
import { Failure } from "../matrix/failure.ts";
import { MatrixError } from "../matrix/matrix_error.ts";
import { toMatrixError } from "./failure_answer.ts";

test("a failure is told by its kind, with its own words and the time to try again", () => {
  const told = toMatrixError(new Failure("busy", "Too many pictures are being decoded"));
  assert.deepEqual(
    [told.errcode, told.status, told.message, told.retryAfterMs],
    ["M_UNKNOWN", 503, "Too many pictures are being decoded", 2_000],
  );
  assert.equal(toMatrixError(new Failure("busy", "", { retryAfterMs: 500 })).retryAfterMs, 500);
  assert.equal(
    toMatrixError(new Failure("refused", "", { mrErrcode: "M_QUOTA_EXCEEDED" })).mrErrcode,
    "M_QUOTA_EXCEEDED",
  );
});

test("a MatrixError is told as it is", () => {
  const own = new MatrixError("M_NOT_FOUND", "Not found");
  assert.equal(toMatrixError(own), own);
});

test("whatever else is thrown becomes an internal error that tells the client nothing", () => {
  const secret = new Error("password=hunter2");
  for (const thrown of [secret, "password=hunter2", undefined, { errcode: "M_NOT_FOUND", status: 404 }]) {
    const error = toMatrixError(thrown);
    assert.equal(error.status, 500);
    assert.equal(error.cause, thrown);
    assert.deepEqual(error.toBody(), { errcode: "M_UNKNOWN", error: "Internal server error", mr_errcode: "M_UNKNOWN" });
  }
});
