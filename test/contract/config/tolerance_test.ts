import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { formatProblem } from "../../../origin/config/checks/config_error.ts";
import { loadConfig, parseConfig } from "../../../origin/config/load.ts";

/** What matrix-media-repo's own reader takes, we take too. */

const MAIN = `homeservers: [{name: example.org, csApi: "http://synapse:8008"}]
datastores: [{id: a, type: file, forKinds: [all], opts: {path: x}}]
`;
const load = (more: string) => {
  const { config, warnings } = parseConfig([{ name: "c.yaml", text: MAIN + more }]);
  return { config, warnings: warnings.map(formatProblem) };
};

describe("a value that matrix-media-repo takes", () => {
  test("is the default with a warning where so little cannot be meant", () => {
    const { config, warnings } = load(`federation: {backoffAt: 0}
database: {pool: {maxConnections: 0}}
timeouts: {federationTimeoutSeconds: 0, clientServerTimeoutSeconds: -1}
uploads: {maxAgeSeconds: "0"}
thumbnails: {sizes: []}
`);
    assert.equal(config.federation.backoffAt, 20);
    assert.equal(config.database.pool.maxConnections, 25);
    assert.equal(config.timeouts.federationTimeoutSeconds, 120);
    assert.equal(config.timeouts.clientServerTimeoutSeconds, 30);
    assert.equal(config.uploads.maxAgeSeconds, 1800);
    assert.equal(config.thumbnails.sizes.length, 5);
    assert.equal(config.domains.get("example.org")?.thumbnails.sizes.length, 5);
    for (const key of [
      "federation.backoffAt",
      "database.pool.maxConnections",
      "timeouts.federationTimeoutSeconds",
      "timeouts.clientServerTimeoutSeconds",
      "uploads.maxAgeSeconds",
      "thumbnails.sizes",
    ]) {
      const said = warnings.filter((line) => line.includes(` ${key} is less than can be used`));
      assert.equal(said.length, 1, `${key}\n${warnings.join("\n")}`);
    }
  });

  test("is off where it is less than nothing", () => {
    const { config, warnings } = load(`uploads: {maxBytes: -1, maxPending: -1, reportedMaxBytes: -1}
thumbnails: {expireAfterDays: -1}
`);
    assert.equal(config.uploads.maxBytes, 0);
    assert.equal(config.uploads.maxPending, 0);
    assert.equal(config.uploads.reportedMaxBytes, -1);
    assert.equal(config.thumbnails.expireAfterDays, 0);
    assert.deepEqual(warnings, []);
  });
});

test("an administrator whose server is written in another case than the homeserver's is doubted", () => {
  const { warnings } = load('admins: ["@alice:Example.org", "@bob:example.org", "@carol:example.net"]\n');
  assert.deepEqual(warnings, [
    'c.yaml:3: admins[0] is a user of no homeserver here: user ids keep their case, and the server name is written "example.org" here',
  ]);
});

test("a homeserver that is to be asked at our own address is doubted", () => {
  const doubts = (csApi: string, more = "") => {
    const text = MAIN.replace("http://synapse:8008", csApi) + more;
    return parseConfig([{ name: "c.yaml", text }]).warnings.map(formatProblem);
  };
  const edge = `edge: {enabled: true, url: "https://matrix.example.org", hopSecret: ${"x".repeat(32)}, bucket: {endpoint: "http://s3", bucketName: b, accessKeyId: a, accessSecret: b}}\n`;
  const said = /^c\.yaml:1: homeservers\[0\]\.csApi is where .*: set it to where the homeserver itself answers$/;
  for (const csApi of ["http://127.0.0.1:8000", "http://localhost:8000/"]) assert.match(doubts(csApi).join("\n"), said);
  assert.match(doubts("http://127.0.0.1:80", "repo: {port: 80}\n").join("\n"), said);
  assert.match(doubts("https://matrix.example.org/", edge).join("\n"), said);
  for (const csApi of ["http://127.0.0.1:8008", "http://synapse:8000"]) assert.deepEqual(doubts(csApi, edge), []);
});

test("of a file with several documents the first counts, and that is said", () => {
  const { config, warnings } = load("uploads: {maxBytes: 1}\n---\nuploads: {maxBytes: 2}\n");
  assert.equal(config.uploads.maxBytes, 1);
  assert.equal(warnings.length, 1, warnings.join("\n"));
  assert.match(warnings[0] ?? "", /^c\.yaml:[45]: starts a second document/);
});

test("an editor's backups in a folder are left out, with a warning each", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-config-"));
  try {
    await writeFile(join(folder, "10-main.yaml"), `${MAIN}uploads: {maxBytes: 1}\n`);
    const backups = ["#10-main.yaml#", "10-main.yaml.bak", "10-main.yaml.orig", "10-main.yaml.swp", "10-main.yaml~"];
    for (const name of backups) await writeFile(join(folder, name), "uploads: {maxBytes: 2}\n");
    const { config, warnings } = await loadConfig(folder);
    assert.equal(config.uploads.maxBytes, 1);
    assert.deepEqual(
      warnings.map(({ file, message }) => [file, message.split(":")[0]]),
      backups.map((name) => [join(folder, name), "is left out"]),
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});
