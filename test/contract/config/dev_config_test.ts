import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { devConfig, keepDevSecrets } from "../../../origin/commands/dev/dev_config.ts";
import { LOCAL_BUCKET } from "../../../origin/config/local_bucket.ts";

describe("an installation that nobody has configured", () => {
  let folder = "";
  beforeEach(async () => {
    folder = join(await mkdtemp(join(tmpdir(), "mxcdn-dev-")), "data");
  });
  afterEach(() => rm(join(folder, ".."), { recursive: true }));

  test("makes its secrets on the first start, and keeps them where only their owner reads them", async () => {
    const first = await keepDevSecrets(folder);
    assert.deepEqual(await keepDevSecrets(folder), first);
    assert.notEqual(first.token, first.hopSecret);
    assert.equal((await stat(join(folder, "secrets.json"))).mode & 0o777, 0o600);
  });

  test("refuses secrets that are damaged, and says what to do", async () => {
    await keepDevSecrets(folder);
    await writeFile(join(folder, "secrets.json"), '{"token":"short"}');
    await assert.rejects(keepDevSecrets(folder), /secrets\.json: is damaged; remove it/);
  });

  test("serves localhost, with one application service that may be any of its users", async () => {
    const secrets = await keepDevSecrets(folder);
    const { config, warnings } = devConfig(folder, secrets);
    const domain = config.domains.get("localhost");
    const [service] = domain?.accessTokens.appservices ?? [];
    assert.deepEqual(warnings, []);
    assert.equal(service?.asToken, secrets.token);
    assert.equal(service.senderUserId, "@dev:localhost");
    const namespace = service.userNamespaces[0]?.regex ?? assert.fail();
    assert.match("@alice:localhost", namespace);
    assert.doesNotMatch("@alice:example.org", namespace);
    assert.equal(domain?.accessTokens.maxCacheTimeSeconds, 43_200);
  });

  test("keeps everything in its folder, and has a local edge", async () => {
    const secrets = await keepDevSecrets(folder);
    const { config } = devConfig(folder, secrets);
    assert.equal(config.database.postgres, "");
    assert.equal(config.database.folder, join(folder, "db"));
    assert.deepEqual(config.datastores[0]?.opts, { path: join(folder, "media"), fsync: true });
    assert.equal(config.edge.enabled, true);
    assert.equal(config.edge.hopSecret, secrets.hopSecret);
  });

  test("names the bucket as wrangler.toml does", async () => {
    const toml = await readFile(new URL("../../../wrangler.toml", import.meta.url), "utf8");
    assert.ok(toml.includes(`bucket_name = "${LOCAL_BUCKET.bucketName}"`));
    assert.ok(toml.includes(`accessKeyId = "${LOCAL_BUCKET.accessKeyId}"`));
    assert.ok(toml.includes(`secretAccessKey = "${LOCAL_BUCKET.accessSecret}"`));
  });
});
