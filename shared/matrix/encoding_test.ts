import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decodeBase64, encodeUnpadded, toHex } from "./encoding.ts";

const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/matrix_spec.json", import.meta.url), "utf8"));
const text = (bytes: Uint8Array | undefined) => (bytes ? new TextDecoder().decode(bytes) : undefined);

test("the specification's vectors are written and read", () => {
  assert.ok(vectors.unpadded_base64.length >= 7);
  for (const { input, output } of vectors.unpadded_base64) {
    assert.equal(encodeUnpadded(new TextEncoder().encode(input)), output);
    assert.equal(text(decodeBase64(output)), input);
  }
});

test("every byte survives the round trip", () => {
  const all = Uint8Array.from({ length: 256 }, (_, index) => index);
  assert.deepEqual(decodeBase64(encodeUnpadded(all)), all);
});

test("padding and the URL-safe alphabet are accepted", () => {
  assert.equal(text(decodeBase64("Zg==")), "f");
  assert.equal(text(decodeBase64("Zm8=")), "fo");
  assert.deepEqual(decodeBase64("-_-_"), decodeBase64("+/+/"));
});

test("what is not base64 is undefined", () => {
  for (const bad of ["Z", "Zm9vY", "Zg=", "Zm8==", "Zm9v=", "Zm9v====", "=", "Z g", "Zg\n", "Zg$", "é", "Z=g="]) {
    assert.equal(decodeBase64(bad), undefined, JSON.stringify(bad));
  }
});

test("bytes are written as two lower-case digits each", () => {
  assert.equal(toHex(Uint8Array.of(0, 10, 171, 255)), "000aabff");
  assert.equal(toHex(new Uint8Array()), "");
});
