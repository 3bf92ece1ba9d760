import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ask } from "../../support/http.ts";
import { until } from "../../support/until.ts";
import { type RunningCommand, spawnCli } from "./spawn_cli.ts";
import { startFolder, startTiers, uploadUntilHit } from "./tiers.ts";

const TOP = fileURLToPath(new URL("../../../", import.meta.url));
const SOURCES = ["edge", "migrations", "origin", "shared", "package.json", "wrangler.toml"];
/** The edge answers its preflight by itself. */
const PREFLIGHT = "/_matrix/media/v3/config";

let folder = "";
beforeEach(async () => {
  folder = await startFolder();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("nothing compresses or rewrites between a client and the edge", async (t) => {
  const tiers = await startTiers(t, folder);
  const { facts, token } = tiers;
  const path = await uploadUntilHit(tiers, "a text that gets much smaller ");
  const headers = { "accept-encoding": "gzip, br" };
  const whole = await ask(facts.edge, path, { token, headers });
  assert.equal(whole.headers["content-encoding"], undefined);
  assert.equal(whole.headers["content-length"], "300");
  assert.equal(whole.body.toString(), "a text that gets much smaller ".repeat(10));
  const part = await ask(facts.edge, path, { token, headers: { ...headers, range: "bytes=2-5" } });
  assert.deepEqual([part.status, part.body.toString()], [206, "text"]);
  // Encoded dots are not resolved on the way: both tiers refuse the same path.
  const odd = "/_matrix/media/v3/download/localhost/%2e%2e/config";
  const [there, here] = [await ask(facts.edge, odd, { token }), await ask(facts.origin, odd, { token })];
  assert.deepEqual([there.status, there.body.toString()], [here.status, here.body.toString()]);
});

/** The sources in a folder of their own, so that a test may change them, with the installed packages but for those left out. */
async function copyOfSources(without: readonly string[] = []): Promise<string> {
  const top = await mkdtemp(join(tmpdir(), "mxcdn-sources-"));
  for (const name of SOURCES) await cp(join(TOP, name), join(top, name), { recursive: true });
  await mkdir(join(top, "node_modules"));
  for (const name of await readdir(join(TOP, "node_modules"))) {
    if (!without.includes(name)) await symlink(join(TOP, "node_modules", name), join(top, "node_modules", name));
  }
  return top;
}

describe("npm run edge", { timeout: 120_000 }, () => {
  let top = "";
  before(async () => {
    top = await copyOfSources();
  });
  after(() => rm(top, { recursive: true, force: true }));

  async function startAlone(
    t: TestContext,
    args: readonly string[],
  ): Promise<{ command: RunningCommand; url: string }> {
    const command = spawnCli(t, folder, ["edge", "--edge-port", "0", ...args], { top });
    const said = await command.says(/the edge answers at (\S+), for the origin/);
    return { command, url: /answers at (\S+),/.exec(said)?.[1] ?? "" };
  }

  const headerOf = async (url: string) => (await ask(url, PREFLIGHT, { method: "OPTIONS" })).headers["x-changed"];

  test("--watch picks up changed sources, goes on with what it has while they are broken, and reads wrangler.toml anew", async (t) => {
    const { command, url } = await startAlone(t, ["--watch"]);
    const file = join(top, "edge", "main.ts");
    const main = await readFile(file, "utf8");
    const changed = (value: string) =>
      main.replace(
        "return await app.fetch(request, (work) => context.waitUntil(work));",
        `const answer = await app.fetch(request, (work) => context.waitUntil(work));
    return new Response(answer.body, { status: answer.status, headers: { ...Object.fromEntries(answer.headers), "x-changed": ${value} } });`,
      );
    assert.equal(await headerOf(url), undefined);
    await writeFile(file, "this is no TypeScript");
    await command.says(/the changed Worker is not used: edge\/main\.ts:1: /);
    assert.equal(await headerOf(url), undefined);
    await writeFile(file, changed("String((env as { CHANGED?: string }).CHANGED)"));
    await until(async () => (await headerOf(url).catch(() => "")) === "undefined", "the changed source does not run");
    const toml = await readFile(join(top, "wrangler.toml"), "utf8");
    await writeFile(join(top, "wrangler.toml"), toml.replace("[vars]", '[vars]\nCHANGED = "so it is"'));
    await until(async () => (await headerOf(url).catch(() => "")) === "so it is", "the changed variable does not hold");
    assert.doesNotMatch(command.said(), /has ended/);
  });

  test("says what to install where what it needs is not installed, and so does npm start", async (t) => {
    const bare = await copyOfSources(["miniflare"]);
    t.after(() => rm(bare, { recursive: true, force: true }));
    for (const args of [["edge"], ["start", "--port", "0"]]) {
      const command = spawnCli(t, folder, [...args, "--edge-port", "0"], { top: bare });
      assert.equal((await command.ended).code, 1);
      assert.match(command.said(), /miniflare, which a local edge needs, is not installed: run `npm ci`/);
    }
  });
});
