import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { readSigningKeys, type SigningKeySeed } from "../../../origin/matrix/signing_keys.ts";

const CLI = fileURLToPath(new URL("../../../origin/cli.ts", import.meta.url));
const FORMATS = ["mmr", "synapse", "dendrite"] as const;
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mxcdn-keys-"));
});
after(() => rm(folder, { recursive: true, force: true }));

function run(...args: string[]) {
  return spawnSync(process.execPath, [CLI, ...args], { cwd: folder, encoding: "utf8" });
}

async function keysOf(name: string): Promise<SigningKeySeed[]> {
  return readSigningKeys(await readFile(join(folder, name), "utf8")).keys;
}

test("signing-key generate makes a key that only its owner may read, and says its id", async () => {
  const made = run("signing-key", "generate", "--output", "fresh.key");
  assert.equal(made.status, 0, made.stderr);
  const [key] = await keysOf("fresh.key");
  assert.match(made.stdout, new RegExp(key?.keyId ?? "no key"));
  assert.equal((await stat(join(folder, "fresh.key"))).mode & 0o777, 0o600);
});

test("signing-key generate makes another key each time", async () => {
  for (const name of ["one.key", "two.key"]) assert.equal(run("signing-key", "generate", "--output", name).status, 0);
  const [one, two] = [(await keysOf("one.key"))[0], (await keysOf("two.key"))[0]];
  assert.notDeepEqual(one?.seed, two?.seed);
});

test("signing-key generate --input converts between all three forms, both ways", async () => {
  assert.equal(run("signing-key", "generate", "--output", "mmr.key").status, 0);
  const [original] = await keysOf("mmr.key");
  for (const from of FORMATS) {
    for (const to of FORMATS) {
      const source = `${from}.key`;
      if (from !== "mmr") run("signing-key", "generate", "--input", "mmr.key", "--format", from, "--output", source);
      const target = `${from}-to-${to}.key`;
      assert.equal(run("signing-key", "generate", "--input", source, "--format", to, "--output", target).status, 0);
      assert.equal(readSigningKeys(await readFile(join(folder, target), "utf8")).format, to);
      assert.deepEqual((await keysOf(target))[0], original);
    }
  }
});

test("signing-key combine keeps every key, in the order of the files", async () => {
  for (const name of ["a.key", "b.key"]) run("signing-key", "generate", "--output", name);
  const combined = run("signing-key", "combine", "--format", "synapse", "--output", "both.key", "a.key", "b.key");
  assert.equal(combined.status, 0, combined.stderr);
  assert.deepEqual(await keysOf("both.key"), [...(await keysOf("a.key")), ...(await keysOf("b.key"))]);
});

test("signing-key combine refuses two keys of the same id, and writes nothing", async () => {
  run("signing-key", "generate", "--output", "same.key");
  const combined = run("signing-key", "combine", "--output", "twice.key", "same.key", "same.key");
  assert.equal(combined.status, 1);
  assert.match(combined.stderr, /same id/);
  await assert.rejects(stat(join(folder, "twice.key")));
});

test("a file that is there is never overwritten", async () => {
  run("signing-key", "generate", "--output", "kept.key");
  const before = await readFile(join(folder, "kept.key"), "utf8");
  const again = run("signing-key", "generate", "--output", "kept.key");
  assert.equal(again.status, 1);
  assert.match(again.stderr, /is there already/);
  assert.equal(await readFile(join(folder, "kept.key"), "utf8"), before);
});

test("matrix-media-repo's names and flags work too", async () => {
  const made = run("generate_signing_key", "-format", "dendrite", "-output", "old.key");
  assert.equal(made.status, 0, made.stderr);
  assert.equal(run("combine_signing_keys", "-format=mmr", "-output=old-combined.key", "old.key").status, 0);
  assert.deepEqual(await keysOf("old-combined.key"), await keysOf("old.key"));
});
