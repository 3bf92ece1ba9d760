import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { canonicalJson } from "../../shared/matrix/canonical_json.ts";
import { decodeBase64 } from "../../shared/matrix/encoding.ts";
import { importPublicKey, type SigningKey } from "../../shared/matrix/signing.ts";
import { type FederationRequest, parseXMatrix, requestObject, verifyRequest } from "../../shared/matrix/x_matrix.ts";
import { cpuMsOf } from "../../test/support/cpu_time.ts";
import { importSeed, signRequest } from "./signing.ts";

const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/matrix_spec.json", import.meta.url), "utf8"));
const { seed, public_key, key_id: keyId } = vectors.signing;
const verifyKey = (await importPublicKey(public_key)) as SigningKey;
const { privateKey } = await importSeed(decodeBase64(seed) ?? new Uint8Array());

interface Vector {
  name: string;
  method: string;
  target: string;
  body: unknown;
  signed_object: string;
  must_verify: boolean;
  authorization: string;
}

function requestOf(vector: Vector): FederationRequest {
  const { origin, destination } = JSON.parse(vector.signed_object);
  const request = { method: vector.method, uri: vector.target, origin, destination };
  return vector.body === null ? request : { ...request, content: vector.body };
}

test("headers of the vectors are read by the grammar", () => {
  assert.ok(vectors.x_matrix_headers.length >= 10);
  for (const { header, expect } of vectors.x_matrix_headers) assert.deepEqual(parseXMatrix(header), expect, header);
});

test("requests of the vectors are signed and verified, and one signed with an empty content is refused", async () => {
  assert.ok(vectors.x_matrix_requests.length >= 4);
  for (const vector of vectors.x_matrix_requests as Vector[]) {
    const request = requestOf(vector);
    const credentials = parseXMatrix(vector.authorization);
    assert.ok(credentials, vector.name);
    assert.equal(await verifyRequest(request, credentials, verifyKey), vector.must_verify, vector.name);
    if (!vector.must_verify) continue;
    assert.equal(canonicalJson(requestObject(request)), vector.signed_object);
    assert.equal(await signRequest(request, keyId, privateKey), vector.authorization);
  }
});

test("what breaks the grammar is no credentials", () => {
  const rest = 'key="ed25519:1",sig="x"';
  for (const bad of [
    "",
    "X-Matrix",
    "X-Matrix ",
    `X-Matrix\torigin=a,${rest}`,
    `X-Matrixorigin=a,${rest}`,
    `X-Matrix origin=a,,${rest}`,
    `X-Matrix origin=a,${rest},`,
    `X-Matrix origin=a ${rest}`,
    `X-Matrix origin="a,${rest}`,
    `X-Matrix origin="a"b,${rest}`,
    `X-Matrix origin=,${rest}`,
    `X-Matrix origin = a,${rest}`,
    `X-Matrix origin=a,origin=b,${rest}`,
    `X-Matrix origin=a,ORIGIN=a,${rest}`,
    `X-Matrix origin=a,destination="b/c",${rest}`,
    `X-Matrix origin="a/../b",${rest}`,
    `X-Matrix origin=a,key="",sig="x"`,
    `X-Matrix origin=a,${rest}, X-Matrix origin=b,${rest}`,
  ]) {
    assert.equal(parseXMatrix(bad), undefined, bad);
  }
});

test("a hostile header is refused in linear time", () => {
  const tookMs = cpuMsOf(() => {
    assert.equal(parseXMatrix(`X-Matrix origin="${"\\a".repeat(50_000)}`), undefined);
    assert.equal(parseXMatrix(`X-Matrix ${"a=b ,".repeat(20_000)}`), undefined);
    assert.equal(parseXMatrix(`X-Matrix a=b${" ".repeat(100_000)}x`), undefined);
  });
  assert.ok(tookMs < 1000, `${tookMs} ms`);
});

test("a signature covers method, uri, origin, destination and content", async () => {
  const request: FederationRequest = { method: "GET", uri: "/a?b=%2f", origin: "domain", destination: "us.example" };
  const credentials = parseXMatrix(await signRequest(request, keyId, privateKey));
  assert.ok(credentials);
  assert.equal(await verifyRequest(request, credentials, verifyKey), true);
  const changes: Partial<FederationRequest>[] = [
    { method: "POST" },
    { uri: "/a?b=%2F" },
    { uri: "/a" },
    { origin: "other" },
    { destination: "other" },
    { content: {} },
  ];
  for (const change of changes) {
    assert.equal(await verifyRequest({ ...request, ...change }, credentials, verifyKey), false, JSON.stringify(change));
  }
});

test("a request without destination in its header verifies with our own name in the signed object", async () => {
  const request: FederationRequest = { method: "GET", uri: "/a", origin: "domain", destination: "us.example" };
  const credentials = parseXMatrix(await signRequest(request, keyId, privateKey));
  assert.ok(credentials);
  const { destination: _, ...older } = credentials;
  assert.equal(await verifyRequest(request, older, verifyKey), true);
});

test("another algorithm than ed25519 does not verify", async () => {
  const request: FederationRequest = { method: "GET", uri: "/a", origin: "domain", destination: "us.example" };
  const credentials = parseXMatrix(await signRequest(request, "rsa:1", privateKey));
  assert.ok(credentials);
  assert.equal(await verifyRequest(request, credentials, verifyKey), false);
});
