import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { buildApp } from "../../../origin/app.ts";
import { runOrigin } from "../../../origin/commands/run_origin.ts";
import { makeLog, silentLog } from "../../../origin/platform/log.ts";
import { accountsOf, adminOf, startStack, type TestStack, userOf } from "../../support/app.ts";
import { putPglite } from "../../support/database.ts";
import { listFiles, replaceFile } from "../../support/files.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { type Asking, askHost, type Heard, jsonOf } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { until } from "../../support/until.ts";

/** A configuration that changes while we run. */

const A = "a.example";
const B = "b.example";
const NEW = "new.example";
const SERVICE = "token_of_the_service";
const CONFIG = "/_matrix/client/v1/media/config";

/** Every tier by itself: what holds at one must hold at the other. */
async function atBoth(stack: TestStack, check: (base: string, tier: string) => Promise<void>): Promise<void> {
  for (const [tier, base] of Object.entries(stack.tiers)) await check(base, tier);
}

describe("while both tiers run", () => {
  const lifetime = lifetimeOfSuite();
  let stack: TestStack;
  const said: string[] = [];
  before(async () => {
    stack = await startStack(lifetime, {
      serverNames: [A, B],
      yaml: `admins: ["@other:${A}"]
uploads: { maxBytes: 500000 }
accessTokens:
  maxCacheTimeSeconds: 3600
  useLocalAppserviceConfig: true
  appservices: [{ id: bridge, asToken: ${SERVICE}, senderUserId: "@bot:${A}", userNamespaces: [{ regex: "^@bridged_" }] }]
`,
      overrides: { log: makeLog({ level: "warn", json: true, write: (line) => void said.push(line) }) },
    });
  });

  const send = async (base: string, host: string, body = "words ".repeat(50)) => {
    const heard = await askHost(base, host, "/_matrix/media/v3/upload", { method: "POST", token: userOf(host), body });
    return { status: heard.status, id: String(jsonOf(heard).content_uri).replace("mxc://", "") };
  };
  const get = (base: string, host: string, path: string, asking: Asking = {}) => askHost(base, host, path, asking);
  const download = (id: string) => `/_matrix/client/v1/media/download/${id}`;

  test("a homeserver that is added is served at once, and the others go on", async () => {
    const added = await startHomeserver(accountsOf(NEW));
    lifetime.after(() => added.close());
    await atBoth(stack, async (base) => {
      assert.equal((await get(base, NEW, CONFIG, { token: userOf(NEW) })).status, 404);
    });
    await stack.reconfigure((yaml) =>
      yaml.replace("homeservers:\n", `homeservers:\n  - { name: ${NEW}, csApi: "${added.url}" }\n`),
    );
    await atBoth(stack, async (base) => {
      const { status, id } = await send(base, NEW);
      assert.equal(status, 200);
      assert.ok(id.startsWith(`${NEW}/`));
      assert.equal((await get(base, NEW, download(id), { token: userOf(NEW) })).status, 200);
      assert.equal((await get(base, A, CONFIG, { token: userOf(NEW) })).status, 401);
      assert.equal((await get(base, A, CONFIG, { token: userOf(A) })).status, 200);
    });
    await stack.reconfigure((yaml) => yaml);
  });

  test("administrators of the repository are those of the new configuration", async () => {
    const remove = async (base: string, token: string) => {
      const { id } = await send(base, A);
      const path = `/_matrix/media/unstable/download/${id}`;
      return (await get(base, A, path, { method: "DELETE", token })).status;
    };
    await atBoth(stack, async (base) => assert.equal(await remove(base, `other_of_${A}`), 200));
    await stack.reconfigure((yaml) => yaml.replace(`["@other:${A}"]`, "[]"));
    await atBoth(stack, async (base) => assert.equal(await remove(base, `other_of_${A}`), 403));
    await stack.reconfigure((yaml) => yaml);
  });

  test("an application service that is removed is nobody any more, at the edge two seconds later", async () => {
    const { id } = await send(stack.tiers.origin, A);
    const asBridged = `?user_id=${encodeURIComponent(`@bridged_x:${A}`)}`;
    const statuses = async (base: string) => [
      (await get(base, A, download(id), { token: SERVICE })).status,
      (await get(base, A, download(id) + asBridged, { token: SERVICE })).status,
      (await get(base, A, CONFIG, { token: SERVICE })).status,
    ];
    await atBoth(stack, async (base) => {
      for (let times = 0; times < 2; times += 1) assert.deepEqual(await statuses(base), [200, 200, 200]);
    });
    await stack.reconfigure((yaml) => yaml.replace(/appservices: \[.*\]/, "appservices: []"));
    assert.deepEqual(await statuses(stack.tiers.origin), [401, 401, 401]);
    await stack.edge.forget();
    assert.deepEqual(await statuses(stack.tiers.edge), [401, 401, 401]);
    await stack.reconfigure((yaml) => yaml);
    await atBoth(stack, async (base) => assert.deepEqual(await statuses(base), [200, 200, 200]));
  });

  test("limits are those of the new configuration; an upload that is under way ends by the old ones", async () => {
    const { origin } = stack.tiers;
    const finish = beginUpload(origin, A, 400_000);
    const staged = async () => (await listFiles(stack.origin.folder)).some((file) => file.endsWith(".part"));
    await until(staged, "the upload has not begun");
    await stack.reconfigure((yaml) => yaml.replace("maxBytes: 500000", "maxBytes: 1000"));
    assert.equal(await finish(), 200);
    await atBoth(stack, async (base) => {
      assert.equal((await send(base, A, "x".repeat(1001))).status, 413);
      const told = await get(base, A, CONFIG, { token: userOf(A) });
      assert.deepEqual(jsonOf(told), { "m.upload.size": 1000 });
    });
    await stack.reconfigure((yaml) => yaml);
  });

  test("a homeserver that is removed is served no more, at the edge two seconds later, and its media stays for the others", async () => {
    const { origin, edge } = stack.tiers;
    const { id } = await send(origin, B);
    for (let times = 0; times < 2; times += 1) {
      assert.equal((await get(edge, B, download(id), { token: userOf(B) })).status, 200);
    }
    await stack.reconfigure((yaml) => yaml.replace(/^ {2}- \{"name":"b\.example".*\n/m, ""));
    // With one homeserver left every host is its: the token is not.
    assert.equal((await get(origin, B, CONFIG, { token: userOf(B) })).status, 401);
    assert.equal((await get(origin, A, download(id), { token: userOf(A) })).status, 200);
    await stack.edge.forget();
    assert.equal((await get(edge, B, download(id), { token: userOf(B) })).status, 401);
    await stack.reconfigure((yaml) => yaml);
    assert.equal((await get(origin, B, CONFIG, { token: userOf(B) })).status, 200);
  });

  test("a datastore that is to lie elsewhere stays where it is, and the log says that a restart is needed", async () => {
    const { origin } = stack.tiers;
    const { id } = await send(origin, A);
    said.length = 0;
    await stack.reconfigure((yaml) => yaml.replace(/(opts: \{ path: "[^"]+)"/, '$1-elsewhere"'));
    assert.match(said.filter((line) => line.includes("restart")).join(""), /"keys":\["datastores\.files\.opts"\]/);
    assert.equal((await get(origin, A, download(id), { token: userOf(A) })).status, 200);
    await stack.reconfigure((yaml) => yaml);
  });

  test("one that cannot hold, because a signing key is missing, changes nothing", async () => {
    const { origin } = stack.tiers;
    const change = (yaml: string) =>
      yaml
        .replace('"name":"a.example"', '"signingKeyPath":"/nowhere/a.key","name":"a.example"')
        .replace("500000", "400000");
    await assert.rejects(stack.reconfigure(change), /a\.example/);
    const told = await get(origin, A, CONFIG, { token: userOf(A) });
    assert.deepEqual(jsonOf(told), { "m.upload.size": 500000 });
  });

  test("what needs a restart is said in the log, and does not hold yet", async () => {
    const { id } = await send(stack.tiers.origin, A);
    said.length = 0;
    await stack.reconfigure((yaml) => yaml.replace(/hopSecret: .*/, `hopSecret: ${"another-secret-".repeat(4)}`));
    const [warning = ""] = said.filter((line) => line.includes("restart"));
    assert.match(warning, /"keys":\["edge\.hopSecret"\]/);
    assert.doesNotMatch(said.join(""), /another-secret/);
    await atBoth(stack, async (base) => {
      assert.equal((await get(base, A, download(id), { token: userOf(A) })).status, 200);
    });
    await stack.reconfigure((yaml) => yaml);
  });
});

/** An upload whose second half is sent when the returned function is called. */
function beginUpload(base: string, host: string, length: number) {
  const answered = Promise.withResolvers<number>();
  const headers = { host, authorization: `Bearer ${userOf(host)}`, "content-length": String(length) };
  const sending = request(`${base}/_matrix/media/v3/upload`, { method: "POST", headers, agent: false }, (response) => {
    response.resume();
    answered.resolve(response.statusCode ?? 0);
  });
  sending.on("error", answered.reject);
  sending.write("x".repeat(length / 2));
  return () => {
    sending.end("x".repeat(length / 2));
    return answered.promise;
  };
}

describe("a configuration file that is watched", () => {
  const lifetime = lifetimeOfSuite();

  test("broken, it changes nothing but for one clear error; mended, it holds", async () => {
    const folder = await mkdtemp(join(tmpdir(), "mxcdn-reload-"));
    lifetime.after(() => rm(folder, { recursive: true, force: true }));
    const homeserver = await startHomeserver({ ...accountsOf(A), ...accountsOf(B) });
    lifetime.after(() => homeserver.close());
    const file = join(folder, "media-repo.yaml");
    const text = (names: readonly string[], more = "") => `
homeservers: [${names.map((name) => `{ name: ${name}, csApi: "${homeserver.url}" }`).join(", ")}]
repo: { bindAddress: 127.0.0.1, port: 0 }
database: { folder: "${folder}/db" }
datastores: [{ id: files, type: file, forKinds: [all], opts: { path: "${folder}/media" } }]
${more}`;
    await putPglite(join(folder, "db"));
    await replaceFile(file, text([A, "other.example"]));
    const lines: string[] = [];
    const warnings: string[] = [];
    const stop = new AbortController();
    const ended = runOrigin(
      { config: file, data: folder, localEdge: false },
      {
        build: (config) => buildApp(config, { log: silentLog }),
        output: {
          line: (line) => void lines.push(line),
          warn: (line) => void warnings.push(line),
          raw: () => undefined,
          rawWarn: () => undefined,
        },
        stop: stop.signal,
        unexpected: { happened: new AbortController().signal, reportTo: () => undefined },
        quiet: false,
      },
    );
    lifetime.after(async () => {
      stop.abort();
      await ended;
    });
    const url = await until(
      () => lines.map((line) => /answers at (http:\S+)/.exec(line)?.[1]).find(Boolean),
      "it did not start",
    );
    const status = async (host: string, token: string) => (await askHost(url, host, CONFIG, { token })).status;
    assert.deepEqual([await status(A, userOf(A)), await status(B, userOf(B))], [200, 404]);
    warnings.length = 0;

    await replaceFile(file, text([A, B], "uploads: { maxBytes: many }\n"));
    const error = await until(
      () => warnings.find((line) => line.includes("configuration rejected")),
      "the broken file was not refused",
    );
    assert.match(error, /media-repo\.yaml/);
    assert.match(error, /uploads\.maxBytes/);
    assert.deepEqual([await status(A, userOf(A)), await status(B, userOf(B))], [200, 404]);
    assert.equal(warnings.length, 1, warnings.join("\n"));

    await replaceFile(file, text([A, B], "uploads: { maxBytes: 700 }\n"));
    await until(() => lines.find((line) => line.includes("configuration applied")), "the mended file does not hold");
    assert.deepEqual([await status(A, userOf(A)), await status(B, userOf(B))], [200, 200]);
    const told: Heard = await askHost(url, B, CONFIG, { token: adminOf(B) });
    assert.deepEqual(jsonOf(told), { "m.upload.size": 700 });

    for (const size of [800, 900]) {
      lines.length = 0;
      await replaceFile(
        file,
        text([A, B], `uploads: { maxBytes: ${size} }\nbogus: 1\nthumbnails: { maxPixels: ${size} }\n`),
      );
      const holds = await until(
        () => lines.find((line) => line.includes("configuration applied")),
        "the change does not hold",
      );
      assert.match(holds, /these keys need a restart: thumbnails\.maxPixels$/);
    }
    const bogus = warnings.filter((line) => line.includes("bogus"));
    assert.equal(bogus.length, 1, "a warning is said when it is new");
  });
});
