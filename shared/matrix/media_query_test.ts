import assert from "node:assert/strict";
import { test } from "node:test";
import { MatrixError } from "./matrix_error.ts";
import { parseMediaQuery } from "./media_query.ts";

const legacy = (query: string) => parseMediaQuery(new URLSearchParams(query), false);
const authenticated = (query: string) => parseMediaQuery(new URLSearchParams(query), true);

function invalid(query: string, read = legacy): void {
  assert.throws(
    () => read(query),
    (thrown) => thrown instanceof MatrixError && thrown.errcode === "M_INVALID_PARAM" && thrown.status === 400,
    query,
  );
}

test("#84 the default wait is 20000 ms, also for an empty value", () => {
  assert.equal(legacy("").waitMs, 20_000);
  assert.equal(legacy("timeout_ms=").waitMs, 20_000);
});

test("#85 timeout_ms is capped at 60000 ms, however long its number is", () => {
  assert.equal(legacy("timeout_ms=60000").waitMs, 60_000);
  assert.equal(legacy("timeout_ms=60001").waitMs, 60_000);
  assert.equal(legacy(`timeout_ms=${"9".repeat(400)}`).waitMs, 60_000);
});

test("timeout_ms=0 is no wait at all", () => {
  assert.equal(legacy("timeout_ms=0").waitMs, 0);
});

test("a timeout_ms that is no whole number is refused", () => {
  for (const text of ["-1", "1.5", "1e3", "0x10", "ten", "%201", "NaN", "١"]) invalid(`timeout_ms=${text}`);
  invalid("timeout_ms=soon", authenticated);
});

test("the unstable names count where the stable ones are not given", () => {
  assert.equal(legacy("fi.mau.msc2246.timeout_ms=7").waitMs, 7);
  assert.equal(legacy("timeout_ms=8&fi.mau.msc2246.timeout_ms=7").waitMs, 8);
  assert.equal(legacy("com.beeper.msc3860.allow_redirect=true").allowRedirect, true);
  assert.equal(legacy("allow_redirect=false&com.beeper.msc3860.allow_redirect=true").allowRedirect, false);
});

test("#109 allow_remote is true and allow_redirect false unless the query says otherwise", () => {
  assert.deepEqual(legacy(""), { waitMs: 20_000, allowRemote: true, allowRedirect: false });
});

test("booleans are what Go reads as such, and nothing else", () => {
  for (const text of ["1", "t", "T", "true", "TRUE", "True"]) {
    assert.equal(legacy(`allow_redirect=${text}`).allowRedirect, true, text);
  }
  for (const text of ["0", "f", "F", "false", "FALSE", "False"]) {
    assert.equal(legacy(`allow_remote=${text}`).allowRemote, false, text);
  }
  for (const text of ["yes", "tRUE", "2", "%20true", "null"]) {
    invalid(`allow_remote=${text}`);
    invalid(`allow_redirect=${text}`);
  }
});

test("#110 the authenticated paths ignore allow_remote and allow_redirect, whatever they say", () => {
  const query = authenticated("allow_remote=banana&allow_redirect=false");
  assert.equal(query.allowRemote, true);
  assert.equal(query.allowRedirect, true);
});
