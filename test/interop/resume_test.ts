import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { promisify } from "node:util";
import { startStack, type TestStack } from "../support/app.ts";
import { ask, upload } from "../support/http.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";
import { TIERS } from "./stage.ts";

/** Downloads that broke off and go on, by the programs that people use for it: they end with exit 0 whatever the answer holds. */

const USER = "token_of_user";
const BODY = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7) % 251));
const CLIENTS = {
  curl: (url: string, file: string) => ["-sS", "-C", "-", "-H", `Authorization: Bearer ${USER}`, "-o", file, url],
  wget: (url: string, file: string) => ["-q", "-c", `--header=Authorization: Bearer ${USER}`, "-O", file, url],
} as const;
const lifetime = lifetimeOfSuite();
let stack: TestStack;
let path: string;
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "mxcdn-resume-"));
  lifetime.after(() => rm(folder, { recursive: true, force: true }));
  stack = await startStack(lifetime, { yaml: "downloads: { defaultRangeChunkSizeBytes: 4000 }\n" });
  path = `/_matrix/client/v1/media/download/${await upload(stack.tiers.origin, USER, BODY, { type: "video/mp4" })}`;
  // The edge serves it by itself from then on.
  await ask(stack.tiers.edge, path, { token: USER });
});

for (const client of Object.keys(CLIENTS) as (keyof typeof CLIENTS)[]) {
  describe(client, { skip: isInstalled(client) ? false : `${client} is not installed` }, () => {
    for (const tier of TIERS) {
      for (const bytesHere of [0, 1, 100_000]) {
        test(`has the whole file after going on at byte ${bytesHere}, over the ${tier}`, async () => {
          const file = join(folder, `${client}-${tier}-${bytesHere}`);
          await writeFile(file, BODY.subarray(0, bytesHere));
          await promisify(execFile)(client, CLIENTS[client](stack.tiers[tier] + path, file));
          assert.ok((await readFile(file)).equals(BODY));
        });
      }
    }
  });
}

function isInstalled(program: string): boolean {
  try {
    execFileSync(program, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
