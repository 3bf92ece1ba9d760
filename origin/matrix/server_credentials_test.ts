import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decodeBase64 } from "../../shared/matrix/encoding.ts";
import { importPublicKey } from "../../shared/matrix/signing.ts";
import { parseXMatrix, readServerCredentials, verifySignatures } from "../../shared/matrix/x_matrix.ts";
import { formatXMatrix, importSeed, signRequest } from "./signing.ts";

const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/matrix_spec.json", import.meta.url), "utf8"));
const { seed, public_key } = vectors.signing;
const { privateKey } = await importSeed(decodeBase64(seed) ?? new Uint8Array());
const publicKey = await importPublicKey(public_key);
const REFUSED = { errcode: "M_UNAUTHORIZED", status: 401 };
const REQUEST = { method: "GET", uri: "/x?y=%20z", origin: "domain", destination: "example.org" };

const header = (changes: object = {}) =>
  formatXMatrix({ origin: "domain", destination: "example.org", key: "ed25519:1", sig: "x", ...changes });

test("every header of the vectors that has credentials gives them, every other is refused", () => {
  for (const { header: text, expect } of vectors.x_matrix_headers) {
    if (expect === null || expect === undefined) assert.throws(() => readServerCredentials([text]), REFUSED, text);
    else if (!String(expect.key).startsWith("ed25519:")) assert.throws(() => readServerCredentials([text]), REFUSED);
    else {
      const { origin, destination, signatures } = readServerCredentials([text]);
      assert.deepEqual({ origin, destination }, { origin: expect.origin, destination: expect.destination }, text);
      assert.deepEqual(signatures, [parseXMatrix(text)]);
    }
  }
});

test("several signatures are read from several headers or from one that was joined", () => {
  const second = header({ key: "ed25519:2", sig: "a, X-Matrix b" });
  for (const headers of [
    [header(), second],
    [`${header()}, ${second}`],
    [`${header()},${second}`],
    ["Bearer abc", `${header()} ,\t${second}`],
    [`Bearer abc, ${header()}, ${second}, Basic dXNlcg==`],
  ]) {
    const { signatures } = readServerCredentials(headers);
    assert.deepEqual(
      signatures.map((one) => one.sig),
      ["x", "a, X-Matrix b"],
    );
  }
});

test("what does not agree, is malformed, too much or of another scheme is refused", () => {
  for (const headers of [
    [],
    ["Bearer abc"],
    ["X-Matrix"],
    [header(), header({ origin: "other" })],
    [header(), header({ destination: "other.org" })],
    [header(), 'X-Matrix origin="domain",key="ed25519:1",sig="x"'],
    [header(), "X-Matrix broken"],
    [header({ key: "rsa:1" })],
    Array.from({ length: 9 }, () => header()),
    [`X-Matrix ${"a".repeat(9000)}`],
    // Whether a proxy joins them or not.
    [header(), `Bearer ${"a".repeat(5000)}`, `Bearer ${"a".repeat(5000)}`],
    [`${header()}, Bearer ${"a".repeat(5000)}, Bearer ${"a".repeat(5000)}`],
    [`X-Matrix origin="${'\\"'.repeat(4000)}`],
  ]) {
    assert.throws(() => readServerCredentials(headers), REFUSED, String(headers).slice(0, 80));
  }
});

test("a signature of an unknown algorithm beside one that is known is left out", () => {
  const { signatures } = readServerCredentials([header({ key: "pq:1" }), header()]);
  assert.deepEqual(
    signatures.map((one) => one.key),
    ["ed25519:1"],
  );
});

test("a request is verified by all of its signatures", async () => {
  const good = await signRequest(REQUEST, "ed25519:1", privateKey);
  const find = async (keyId: string) => (keyId === "ed25519:1" ? publicKey : undefined);
  await verifySignatures(REQUEST, readServerCredentials([good]), find);
  const wrong = good.replace(/sig="../, 'sig="AA');
  for (const headers of [[wrong], [good, wrong], [good, header({ key: "ed25519:2" })]]) {
    await assert.rejects(verifySignatures(REQUEST, readServerCredentials(headers), find), REFUSED);
  }
  await assert.rejects(verifySignatures({ ...REQUEST, uri: "/x?y=+z" }, readServerCredentials([good]), find), REFUSED);
});

test("without a destination our own name is what was signed", async () => {
  const good = parseXMatrix(await signRequest(REQUEST, "ed25519:1", privateKey));
  const old = `X-Matrix origin=domain,key=ed25519:1,sig="${good?.sig}"`;
  await verifySignatures(REQUEST, readServerCredentials([old]), async () => publicKey);
});
