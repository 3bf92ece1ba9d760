import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decodeBase64 } from "../../shared/matrix/encoding.ts";
import { importPublicKey, isSigningKeyId, type SigningKey, verifyJson } from "../../shared/matrix/signing.ts";
import { importSeed, signJson } from "./signing.ts";

const vectors = JSON.parse(readFileSync(new URL("../../test/vectors/matrix_spec.json", import.meta.url), "utf8"));
const { seed, public_key, server_name: entity, key_id: keyId, objects } = vectors.signing;

async function keys() {
  const { privateKey, publicKey } = await importSeed(decodeBase64(seed) ?? new Uint8Array());
  return { privateKey, publicKey, verifyKey: (await importPublicKey(publicKey)) as SigningKey };
}

test("the specification's objects get the specification's signatures, and they verify", async () => {
  const { privateKey, publicKey, verifyKey } = await keys();
  assert.equal(publicKey, public_key);
  assert.equal(objects.length, 2);
  for (const { object, signature } of objects) {
    const signed = await signJson(object, entity, keyId, privateKey);
    assert.deepEqual(signed, { ...object, signatures: { [entity]: { [keyId]: signature } } });
    assert.equal(await verifyJson(signed, entity, keyId, verifyKey), true);
  }
});

test("the key response of the vectors verifies by its own key", async () => {
  const { object, signature } = vectors.server_key_response;
  const { verifyKey } = await keys();
  const signed = { ...object, signatures: { [entity]: { [keyId]: `${signature}==` } } };
  assert.equal(await verifyJson(signed, entity, keyId, verifyKey), true, "padding is accepted");
});

test("signatures of others and unsigned stay in the object and are not signed", async () => {
  const { privateKey, verifyKey } = await keys();
  const object = {
    one: 1,
    unsigned: { age: 3 },
    signatures: { other: { "ed25519:a": "x" }, [entity]: { "ed25519:b": "y" } },
  };
  const signed = await signJson(object, entity, keyId, privateKey);
  const plain = await signJson({ one: 1 }, entity, keyId, privateKey);
  const signature = (plain.signatures as Record<string, Record<string, string>>)[entity]?.[keyId];
  assert.deepEqual(signed, {
    one: 1,
    unsigned: { age: 3 },
    signatures: { other: { "ed25519:a": "x" }, [entity]: { "ed25519:b": "y", [keyId]: signature } },
  });
  assert.equal(await verifyJson({ ...signed, unsigned: { age: 4 } }, entity, keyId, verifyKey), true);
});

test("a changed object, another entity, key id or key, or a malformed signature does not verify", async () => {
  const { privateKey, verifyKey } = await keys();
  const other = await importSeed(new Uint8Array(32).fill(7));
  const otherKey = (await importPublicKey(other.publicKey)) as SigningKey;
  const signed = await signJson({ one: 1 }, entity, keyId, privateKey);
  assert.equal(await verifyJson({ ...signed, one: 2 }, entity, keyId, verifyKey), false);
  assert.equal(await verifyJson({ ...signed, two: 0.5 }, entity, keyId, verifyKey), false);
  assert.equal(await verifyJson(signed, "other", keyId, verifyKey), false);
  assert.equal(await verifyJson(signed, entity, "ed25519:2", verifyKey), false);
  assert.equal(await verifyJson(signed, entity, keyId, otherKey), false);
  for (const signatures of [
    undefined,
    null,
    [],
    "x",
    { [entity]: "x" },
    { [entity]: { [keyId]: 1 } },
    { [entity]: { [keyId]: "AAAA" } },
  ]) {
    assert.equal(await verifyJson({ one: 1, signatures }, entity, keyId, verifyKey), false);
  }
  assert.equal(await verifyJson(signed, "__proto__", "toString", verifyKey), false);
});

test("keys of another length are not keys", async () => {
  assert.equal(await importPublicKey("AAAA"), undefined);
  assert.equal(await importPublicKey("not base64!"), undefined);
  await assert.rejects(importSeed(new Uint8Array(31)));
});

test("only ed25519 with the specified version alphabet is a usable key id", () => {
  for (const good of ["ed25519:1", "ed25519:a_Bc9"]) assert.equal(isSigningKeyId(good), true, good);
  for (const bad of ["ed25519:", "ed25519", "rsa:1", "ed25519:a/b", "ed25519:a:b", "ED25519:1", "ed25519:1\n"]) {
    assert.equal(isSigningKeyId(bad), false, bad);
  }
});
