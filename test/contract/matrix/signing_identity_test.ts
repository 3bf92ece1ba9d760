import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { importSeed, signRequest } from "../../../origin/matrix/signing.ts";
import { loadSigningIdentity, SigningKeyFileError, writeSigningKeys } from "../../../origin/matrix/signing_keys.ts";
import { importPublicKey, type SigningKey } from "../../../shared/matrix/signing.ts";
import { parseXMatrix, verifyRequest } from "../../../shared/matrix/x_matrix.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mxcdn-key-"));
});
after(() => rm(folder, { recursive: true }));

test("the first key of a file of any form signs for the server name", async () => {
  const seed = new Uint8Array(32).fill(5);
  const keys = [
    { keyId: "ed25519:one", seed },
    { keyId: "ed25519:two", seed: new Uint8Array(32) },
  ];
  const publicKey = (await importPublicKey((await importSeed(seed)).publicKey)) as SigningKey;
  const request = { method: "GET", uri: "/x", origin: "us.example", destination: "peer.example" };
  for (const format of ["mmr", "dendrite", "synapse"] as const) {
    const path = join(folder, format);
    await writeFile(path, writeSigningKeys(keys, format));
    const identity = await loadSigningIdentity(path, "us.example");
    assert.deepEqual([identity.serverName, identity.keyId], ["us.example", "ed25519:one"]);
    const credentials = parseXMatrix(await signRequest(request, identity.keyId, identity.privateKey));
    assert.equal(credentials && (await verifyRequest(request, credentials, publicKey)), true);
  }
});

test("a file that is missing or holds no key is an error", async () => {
  await assert.rejects(loadSigningIdentity(join(folder, "missing"), "us.example"), { code: "ENOENT" });
  const path = join(folder, "bad");
  await writeFile(path, "nothing");
  await assert.rejects(loadSigningIdentity(path, "us.example"), SigningKeyFileError);
});
