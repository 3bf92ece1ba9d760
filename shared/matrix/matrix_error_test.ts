import assert from "node:assert/strict";
import { test } from "node:test";
import { type Errcode, isErrcode, MatrixError } from "./matrix_error.ts";

test("every code has the status of the specification", () => {
  const statuses: [Errcode, number][] = [
    ["M_BAD_JSON", 400],
    ["M_NOT_JSON", 400],
    ["M_MISSING_PARAM", 400],
    ["M_INVALID_PARAM", 400],
    ["M_UNKNOWN_DEVICE", 400],
    ["M_MISSING_TOKEN", 401],
    ["M_UNKNOWN_TOKEN", 401],
    ["M_USER_LOCKED", 401],
    ["M_UNAUTHORIZED", 401],
    ["M_FORBIDDEN", 403],
    ["M_GUEST_ACCESS_FORBIDDEN", 403],
    ["M_USER_SUSPENDED", 403],
    ["M_USER_LIMIT_EXCEEDED", 403],
    ["M_RESOURCE_LIMIT_EXCEEDED", 403],
    ["M_NOT_FOUND", 404],
    ["M_UNRECOGNIZED", 404],
    ["M_CANNOT_OVERWRITE_MEDIA", 409],
    ["M_TOO_LARGE", 413],
    ["M_LIMIT_EXCEEDED", 429],
    ["M_UNKNOWN", 500],
    ["M_NOT_YET_UPLOADED", 504],
  ];
  for (const [errcode, status] of statuses) assert.equal(new MatrixError(errcode, "x").status, status, errcode);
});

test("the finer code is matrix-media-repo's", () => {
  const fine = (errcode: Errcode, status?: number) => new MatrixError(errcode, "x", { status }).toBody().mr_errcode;
  assert.equal(fine("M_TOO_LARGE"), "M_MEDIA_TOO_LARGE");
  assert.equal(fine("M_TOO_LARGE", 502), "M_MEDIA_TOO_LARGE");
  assert.equal(fine("M_INVALID_PARAM"), "M_BAD_REQUEST");
  assert.equal(fine("M_UNKNOWN", 400), "M_BAD_REQUEST");
  assert.equal(fine("M_UNKNOWN", 502), "M_UNKNOWN");
  assert.equal(fine("M_UNRECOGNIZED", 405), "M_METHOD_NOT_ALLOWED");
  assert.equal(fine("M_NOT_FOUND"), "M_NOT_FOUND");
  const quota = new MatrixError("M_FORBIDDEN", "Quota Exceeded", { mrErrcode: "M_QUOTA_EXCEEDED" });
  assert.equal(quota.toBody().mr_errcode, "M_QUOTA_EXCEEDED");
});

test("the body carries extra keys and whole milliseconds, but nothing replaces code and text", () => {
  const locked = new MatrixError("M_USER_LOCKED", "Locked", {
    extra: { soft_logout: true, errcode: "M_X", error: "y" },
  });
  assert.deepEqual(locked.toBody(), {
    soft_logout: true,
    errcode: "M_USER_LOCKED",
    error: "Locked",
    mr_errcode: "M_USER_LOCKED",
  });
  assert.equal(new MatrixError("M_LIMIT_EXCEEDED", "Slow", { retryAfterMs: 1500.2 }).toBody().retry_after_ms, 1501);
});

test("only codes of the table are codes", () => {
  assert.equal(isErrcode("M_NOT_FOUND"), true);
  for (const text of ["toString", "__proto__", "M_SOMETHING", "", undefined, 7]) assert.equal(isErrcode(text), false);
});
