import assert from "node:assert/strict";
import { test } from "node:test";
import { readCredentials } from "./access_token.ts";

const read = (authorization: string | null, query = "") => readCredentials(authorization, new URLSearchParams(query));

test("a Bearer token is read, whatever the case of the scheme and the form of the token", () => {
  for (const scheme of ["Bearer", "bearer", "BEARER", "Bearer "]) {
    assert.deepEqual(read(`${scheme} syt_a/b+c=é~`), { token: "syt_a/b+c=é~" });
  }
});

test("the header wins over the query", () => {
  assert.deepEqual(read("Bearer a", "access_token=b"), { token: "a" });
  assert.deepEqual(read(null, "access_token=b%20c"), { token: "b c" });
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
