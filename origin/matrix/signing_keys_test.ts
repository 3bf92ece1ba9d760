import assert from "node:assert/strict";
import { test } from "node:test";
import { generateSigningKey, readSigningKeys, SigningKeyFileError, writeSigningKeys } from "./signing_keys.ts";

const SEED = "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA0";
const key = { keyId: "ed25519:a_Bc12", seed: new Uint8Array(Buffer.from(SEED, "base64")) };
const other = { keyId: "ed25519:2", seed: new Uint8Array(32).fill(9) };
const FILES = {
  mmr: `-----BEGIN MMR PRIVATE KEY-----\nKey-ID: ed25519:a_Bc12\nVersion: 1\n\n${SEED}=\n-----END MMR PRIVATE KEY-----\n`,
  dendrite: `-----BEGIN MATRIX PRIVATE KEY-----\nKey-ID: ed25519:a_Bc12\n\n${SEED}=\n-----END MATRIX PRIVATE KEY-----\n`,
  synapse: `ed25519 a_Bc12 ${SEED}`,
} as const;
const FORMATS = ["mmr", "dendrite", "synapse"] as const;

test("each form is written as its server writes it, and read back", () => {
  for (const format of FORMATS) {
    assert.equal(writeSigningKeys([key], format), FILES[format]);
    assert.deepEqual(readSigningKeys(FILES[format]), { format, keys: [key] });
  }
});

test("several keys stay in order through every form", () => {
  for (const format of FORMATS) {
    assert.deepEqual(readSigningKeys(writeSigningKeys([key, other], format)), { format, keys: [key, other] });
  }
});

test("line ends of Windows, blank lines, blanks and foreign PEM blocks do no harm", () => {
  const foreign = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  assert.deepEqual(readSigningKeys(`\n${foreign}\n${FILES.dendrite}`.replaceAll("\n", "\r\n")).keys, [key]);
  assert.deepEqual(readSigningKeys(`\n\n  ed25519\ta_Bc12  ${SEED}= \n\n`).keys, [key]);
  assert.deepEqual(readSigningKeys(FILES.mmr.trim()).keys, [key]);
});

test("what holds no usable key is refused, and the message gives no secret away", () => {
  const bad = [
    "",
    "\n",
    "hello",
    `ed25519 1`,
    `rsa 1 ${SEED}`,
    `ed25519 a/b ${SEED}`,
    `ed25519 1 ${SEED.slice(4)}`,
    `ed25519 1 ${SEED} more`,
    `${FILES.mmr}garbage`,
    `garbage${FILES.mmr}`,
    FILES.mmr.replace("Key-ID: ed25519:a_Bc12\n", ""),
    FILES.mmr.replace(SEED, "AAAA"),
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    FILES.mmr.replace("END MMR", "END MATRIX"),
  ];
  for (const text of bad) {
    assert.throws(
      () => readSigningKeys(text),
      (error) => error instanceof SigningKeyFileError && !error.message.includes(SEED.slice(4, 20)),
      text,
    );
  }
});

test("two keys of one id don't go into one file", () => {
  assert.throws(() => writeSigningKeys([key, { ...other, keyId: key.keyId }], "mmr"), SigningKeyFileError);
});

test("generated keys are never alike", () => {
  const keys = Array.from({ length: 200 }, generateSigningKey);
  assert.equal(new Set(keys.map(({ seed }) => Buffer.from(seed).toString("hex"))).size, 200);
  for (const { keyId, seed } of keys) {
    assert.match(keyId, /^ed25519:[A-Za-z0-9]{6}$/);
    assert.equal(seed.byteLength, 32);
    assert.ok(new Set(seed).size > 16);
  }
});
