import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { formatProblem } from "../../../origin/config/checks/config_error.ts";
import { type LoadedConfig, loadConfig, parseConfig } from "../../../origin/config/load.ts";

const EXAMPLES = fileURLToPath(new URL("examples/", import.meta.url));

function keysOf({ warnings }: LoadedConfig): string[] {
  return warnings.map(({ key }) => key);
}

describe("a configuration of today's matrix-media-repo", () => {
  const load = () => loadConfig(`${EXAMPLES}today.yaml`);

  test("is read with the values it names", async () => {
    const { config } = await load();
    const domain = config.domains.get("example.org");
    assert.deepEqual([...config.domains.keys()], ["example.org", "example.net:8448"]);
    assert.equal(config.repo.logLevel, "warn");
    assert.equal(config.repo.port, 8001);
    assert.equal(domain?.csApi, "https://matrix.example.org");
    assert.equal(domain.backoffAt, 10);
    assert.equal(domain.adminApiKind, "synapse");
    assert.equal(domain.uploads.maxBytes, 52_428_800);
    assert.equal(domain.uploads.reportedMaxBytes, -1);
    assert.deepEqual(domain.thumbnails.sizes[1], { width: 768, height: 240 });
    assert.equal(domain.timeouts.clientServerTimeoutSeconds, 20);
    assert.equal(config.redis.shards[1]?.addr, "localhost:7001");
  });

  test("keeps secrets and texts as they are written, and reads options written as text", async () => {
    const { config } = await load();
    const bucket = config.datastores.find((store) => store.type === "s3");
    assert.equal(bucket?.opts.accessSecret, "1e10");
    assert.equal(bucket.opts.ssl, true);
    assert.equal(bucket.opts.prefixLength, 3);
    assert.equal(config.accessTokens.appservices[0]?.asToken, "0012345678");
    assert.equal(config.accessTokens.useLocalAppserviceConfig, true);
  });

  test("has its namespaces compiled", async () => {
    const { config } = await load();
    const namespace = config.accessTokens.appservices[0]?.userNamespaces[0]?.regex ?? assert.fail();
    assert.match("@_irc_bob:example.org", namespace);
    assert.doesNotMatch("@bob:example.org", namespace);
  });

  test("keeps libpq's meaning of sslmode", async () => {
    const { config } = await load();
    assert.match(
      config.database.postgres,
      /^postgres:\/\/media:p%40ss@postgres\/media\?sslmode=require&uselibpqcompat=true$/,
    );
  });

  test("is answered with one warning for all that is not built yet, and none for what is switched off", async () => {
    const { warnings } = await load();
    const later = warnings.filter(({ message }) => message.includes("not built yet"));
    assert.equal(later.length, 1);
    assert.match(later[0]?.message ?? "", /urlPreviews/);
    assert.ok(warnings.every(({ key, message }) => !/sentry|pgo/.test(`${key} ${message}`)));
    assert.ok(warnings.every(({ line, file }) => line > 0 && file.endsWith("today.yaml")));
  });
});

describe("a configuration of matrix-media-repo 1.2", () => {
  const load = () => loadConfig(`${EXAMPLES}one_two.yaml`);

  test("is read, and its datastores have ids that depend on nothing but their address", async () => {
    const { config } = await load();
    const again = await load();
    assert.deepEqual(config.datastores, again.config.datastores);
    assert.match(config.datastores[0]?.id ?? "", /^[0-9a-f]{40}$/);
    assert.notEqual(config.datastores[0]?.id, config.datastores[1]?.id);
  });

  test("a datastore that is not enabled takes nothing new, and one of IPFS is left out", async () => {
    const { config } = await load();
    assert.deepEqual(
      config.datastores.map(({ type, forKinds }) => ({ type, forKinds })),
      [
        { type: "file", forKinds: ["all"] },
        { type: "s3", forKinds: [] },
      ],
    );
  });

  test("its featureSupport.redis counts as redis, its database as an address", async () => {
    const { config } = await load();
    assert.equal(config.redis.enabled, true);
    assert.equal(config.redis.shards[0]?.name, "server1");
    assert.equal(config.database.postgres, "postgres://media:it's@localhost:5433/media?sslmode=disable");
  });

  test("every key without effect is warned of once", async () => {
    const loaded = await load();
    for (const key of ["repo.logDirectory", "featureSupport.redis", "datastores[2].type", "datastores[0]"]) {
      assert.equal(keysOf(loaded).filter((one) => one === key).length, 1, key);
    }
  });
});

describe("a folder", () => {
  const load = () => loadConfig(`${EXAMPLES}directory`);

  test("is read in alphabetical order, without hidden files and folders inside it", async () => {
    const { config } = await load();
    assert.equal(config.uploads.maxBytes, 2000);
    assert.deepEqual([...config.domains.keys()], ["example.org", "example.net", "example.com"]);
  });

  test("a later main file replaces a section whole, with the defaults below, and says what is lost", async () => {
    const loaded = await load();
    assert.equal(loaded.config.uploads.minBytes, 100);
    const lost = loaded.warnings.find(({ message }) => message.includes("replaces the whole section"));
    assert.match(lost ? formatProblem(lost) : "", /10-uploads\.yaml:1: uploads .*00-main\.yaml.*minBytes/);
  });

  test("a per-domain file is merged deeply over the main ones", async () => {
    const net = (await load()).config.domains.get("example.net");
    assert.equal(net?.csApi, "https://dendrite.example.net");
    assert.equal(net.thumbnails.dynamicSizing, true);
    assert.deepEqual(net.thumbnails.types, ["image/png"]);
    assert.equal(net.uploads.quotas.enabled, true);
    assert.equal(net.uploads.maxBytes, 2000);
  });

  test("a per-domain file changes nothing for another domain, nor for the main sections", async () => {
    const { config } = await load();
    assert.equal(config.domains.get("example.org")?.thumbnails.dynamicSizing, false);
    assert.equal(config.thumbnails.dynamicSizing, false);
  });

  test("a per-domain file may bring a homeserver of its own", async () => {
    const com = (await load()).config.domains.get("example.com");
    assert.equal(com?.csApi, "http://conduit:6167");
    assert.equal(com.downloads.defaultRangeChunkSizeBytes, 5);
  });

  test("what a per-domain file cannot set is warned of", async () => {
    const said = (await load()).warnings.map(formatProblem).join("\n");
    assert.match(said, /20-example\.net\.yaml:8: database holds for the whole repository/);
    assert.match(said, /30-example\.com\.yaml:4: downloads\.numWorkers holds for the whole repository/);
  });
});

describe("a small configuration", () => {
  const SMALL = "homeservers: [{name: example.org, csApi: 'http://synapse:8008'}]\n";
  const parse = (text: string, options = {}) => parseConfig([{ name: "small.yaml", text: SMALL + text }], options);

  test("has every default filled in", () => {
    const { config } = parse("");
    assert.equal(config.repo.port, 8000);
    assert.equal(config.repo.freezeUnauthenticatedMedia, true);
    assert.equal(config.database.postgres, "");
    assert.equal(config.database.folder, "./data/db");
    assert.equal(config.uploads.maxBytes, 104_857_600);
    assert.equal(config.thumbnails.sizes.length, 5);
    assert.equal(config.downloads.failureCacheMinutes, 15);
    assert.equal(config.rateLimit.buckets.downloads.capacityBytes, 524_288_000);
    assert.equal(config.edge.enabled, false);
    assert.deepEqual(config.urlPreviews.allowedNetworks, ["0.0.0.0/0"]);
    assert.equal(config.federation.disallowedNetworks.length, 9);
  });

  test("an empty section is the same as none", () => {
    assert.deepEqual(parse("uploads:\nthumbnails:\n  sizes:\n").config, parse("").config);
  });

  test("without datastores it keeps media in a folder, and says so", () => {
    const loaded = parse("");
    assert.deepEqual(loaded.config.datastores[0]?.opts, { path: "./data/media", fsync: true });
    assert.ok(keysOf(loaded).includes("datastores"));
  });

  test("an unknown key is warned of with its line and the key that was probably meant", () => {
    const { warnings } = parse(
      "uploads:\n  maxbyte: 3\nnonsense: 1\ndatastores: [{id: a, type: file, forKinds: [all], opts: {path: x}}]\n",
    );
    assert.deepEqual(warnings.map(formatProblem), [
      "small.yaml:3: uploads.maxbyte is not a key of this configuration and changes nothing; did you mean maxBytes?",
      "small.yaml:4: nonsense is not a key of this configuration and changes nothing",
    ]);
  });

  test("what the command line says lies above the file, what it assumes below", () => {
    const options = {
      over: { repo: { port: 9 }, edge: { enabled: true } },
      under: { edge: { hopSecret: "x".repeat(32) }, repo: { bindAddress: "::" } },
    };
    const { config } = parse("repo: {port: 8, logLevel: debug}\n", options);
    assert.deepEqual([config.repo.port, config.repo.logLevel, config.repo.bindAddress], [9, "debug", "::"]);
    assert.equal(config.edge.hopSecret, "x".repeat(32));
  });

  test("an edge without a bucket uses the local one of its port", () => {
    const loaded = parse(`edge: {enabled: true, localPort: 99, hopSecret: ${"x".repeat(32)}}\n`);
    assert.equal(loaded.config.edge.bucket.endpoint, "http://127.0.0.1:99/cdn-cgi/local/r2/s3");
    assert.equal(loaded.config.edge.bucket.bucketName, "mxcdn");
    assert.ok(keysOf(loaded).includes("edge.bucket"));
  });

  test("an unencrypted connection to a database elsewhere is warned of", () => {
    assert.ok(keysOf(parse("database: {postgres: 'postgres://u@db.example.org/x'}\n")).includes("database.postgres"));
    assert.ok(!keysOf(parse("database: {postgres: 'postgres://u@localhost/x'}\n")).includes("database.postgres"));
  });

  test("no datastore for a kind that is needed is warned of", () => {
    const stores = "datastores: [{id: a, type: file, forKinds: [thumbnails], opts: {path: x}}]\n";
    assert.ok(parse(stores).warnings.some(({ message }) => message.includes("no store for local_media")));
  });

  test("YAML's merge keys and a few aliases are understood", () => {
    const { config } = parse(
      "x: &store {type: file, opts: {path: /a}, forKinds: [all]}\ndatastores: [{<<: *store, id: one}]\n",
    );
    assert.equal(config.datastores[0]?.id, "one");
  });
});
