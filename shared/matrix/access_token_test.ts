import assert from "node:assert/strict";
import { test } from "node:test";
import { readCredentials } from "./access_token.ts";
import { MatrixError } from "./matrix_error.ts";

const read = (authorization: string | null, query = "") => readCredentials(authorization, new URLSearchParams(query));

test("a Bearer token is read, whatever the case of the scheme and the form of the token", () => {
  for (const scheme of ["Bearer", "bearer", "BEARER", "Bearer "]) {
    assert.deepEqual(read(`${scheme} syt_a/b+c=~!`), { token: "syt_a/b+c=~!" });
  }
});

test("the header wins over the query", () => {
  assert.deepEqual(read("Bearer a", "access_token=b"), { token: "a" });
  assert.deepEqual(read(null, "access_token=b%21c"), { token: "b!c" });
  assert.deepEqual(read("", "access_token=b"), { token: "b" });
});

test("another scheme, or a Bearer without one token, means no token at all", () => {
  for (const header of ["Basic YTpi", 'X-Matrix origin="a"', "Bearer", "Bearer ", "Bearer a b", "Bearera", "a"]) {
    assert.equal(read(header, "access_token=b"), undefined, header);
  }
  assert.equal(read(null), undefined);
  assert.equal(read(null, "access_token="), undefined);
});

test("an application service's masquerade is read from the query", () => {
  assert.deepEqual(read("Bearer a", "user_id=%40u%3Ah&device_id=D"), { token: "a", userId: "@u:h", deviceId: "D" });
  assert.deepEqual(read("Bearer a", "org.matrix.msc3202.device_id=D"), { token: "a", deviceId: "D" });
  assert.deepEqual(read("Bearer a", "device_id=S&org.matrix.msc3202.device_id=U"), { token: "a", deviceId: "S" });
  assert.deepEqual(read("Bearer a", "user_id=&device_id="), { token: "a" });
});

test("a token that no header can carry, or that is longer than any, is nobody's: 401 M_UNKNOWN_TOKEN", () => {
  for (const query of [
    "%E2%82%AC",
    "a%20b",
    "a%0Ab",
    "a%09",
    "%00",
    "%7F",
    "%C2%A0",
    "%F0%9F%98%80",
    "x".repeat(1_025),
  ]) {
    refused(() => read(null, `access_token=${query}`), 401, "M_UNKNOWN_TOKEN");
  }
  // As Node and as workerd read the same bytes of a header.
  for (const token of ["\u00e0", "\u00c3\u00a0", "a\u00a0b", "x".repeat(1_025)]) {
    refused(() => read(`Bearer ${token}`), 401, "M_UNKNOWN_TOKEN");
  }
  assert.equal(read(`Bearer ${"x".repeat(1_024)}`)?.token.length, 1_024);
});

test("a user or a device that can be nobody's is refused: 400 M_INVALID_PARAM", () => {
  for (const parameter of ["user_id", "device_id", "org.matrix.msc3202.device_id"]) {
    for (const value of ["%00", "%40a%0A%3Ah", "%C2%85", "x".repeat(513)]) {
      refused(() => read("Bearer a", `${parameter}=${value}`), 400, "M_INVALID_PARAM");
    }
  }
  refused(() => read("Bearer a", `user_id=${"x".repeat(256)}`), 400, "M_INVALID_PARAM");
  assert.equal(read("Bearer a", "device_id=%F0%9F%98%80%E2%82%AC")?.deviceId, "\u{1F600}\u20ac");
});

function refused(work: () => unknown, status: number, errcode: string): void {
  assert.throws(work, (error) => error instanceof MatrixError && error.status === status && error.errcode === errcode);
}
