import assert from "node:assert/strict";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ConfigError, formatProblem } from "../../../origin/config/checks/config_error.ts";
import { loadConfig, parseConfig } from "../../../origin/config/load.ts";

const HOMESERVERS = "homeservers: [{name: example.org, csApi: 'http://synapse:8008'}]\n";
const STORE = "datastores: [{id: a, type: file, forKinds: [all], opts: {path: x}}]\n";

/** Broken configurations, and the place and key that must be named. */
const BROKEN: readonly { readonly what: string; readonly text: string; readonly says: RegExp }[] = [
  {
    what: "a number that is none",
    text: `${HOMESERVERS}uploads:\n  minBytes: 5\n  maxBytes: lots\n`,
    says: /^c\.yaml:4: uploads\.maxBytes must be a whole number/,
  },
  {
    what: "a key that stands twice",
    text: `${HOMESERVERS}thumbnails:\n  maxPixels: 1\n  maxPixels: 2\n`,
    says: /^c\.yaml:4: thumbnails\.maxPixels stands twice/,
  },
  {
    what: "no homeserver",
    text: `${STORE}homeservers: []\n`,
    says: /^c\.yaml:2: homeservers lists no homeserver/,
  },
  {
    what: "a homeserver without csApi",
    text: "homeservers:\n  - name: example.org\n    backoffAt: 3\n",
    says: /^c\.yaml:2: homeservers\[0\]\.csApi is needed/,
  },
  {
    what: "a csApi that is no address",
    text: "homeservers:\n  - name: example.org\n    csApi: synapse:8008\n",
    says: /^c\.yaml:3: homeservers\[0\]\.csApi must be an address that starts with http/,
  },
  {
    what: "a server name that is none",
    text: "homeservers:\n  - name: example org\n    csApi: http://synapse\n",
    says: /^c\.yaml:2: homeservers\[0\]\.name must be a server name/,
  },
  {
    what: "server names that differ in case alone",
    text: "homeservers:\n  - {name: Example.org, csApi: 'http://a'}\n  - {name: example.ORG, csApi: 'http://b'}\n",
    says: /^c\.yaml:3: homeservers\[1\]\.name differs from "Example\.org" in the case of letters alone/,
  },
  {
    what: "two datastores with one id",
    text: `${HOMESERVERS}datastores:\n  - {id: a, type: file, opts: {path: x}}\n  - {id: a, type: file, opts: {path: y}}\n`,
    says: /^c\.yaml:4: datastores\[1\]\.id is the id of another datastore/,
  },
  {
    what: "a datastore for an unknown kind",
    text: `${HOMESERVERS}datastores:\n  - id: a\n    type: file\n    forKinds: [all, videos]\n    opts: {path: x}\n`,
    says: /^c\.yaml:5: datastores\[0\]\.forKinds\[1\] must be one of local_media/,
  },
  {
    what: "a datastore of an unknown type",
    text: `${HOMESERVERS}datastores:\n  - id: a\n    type: ftp\n`,
    says: /^c\.yaml:4: datastores\[0\]\.type must be file or s3/,
  },
  {
    what: "a datastore without its folder",
    text: `${HOMESERVERS}datastores:\n  - id: a\n    type: file\n    opts: {}\n`,
    says: /^c\.yaml:5: datastores\[0\]\.opts\.path is needed/,
  },
  {
    what: "a store without its options",
    text: `${HOMESERVERS}datastores:\n  - id: a\n    type: s3\n`,
    says: /^c\.yaml:3: datastores\[0\]\.opts is needed/,
  },
  {
    what: "an empty list of datastores",
    text: `${HOMESERVERS}datastores: []\n`,
    says: /^c\.yaml:2: datastores must list at least one/,
  },
  {
    what: "a namespace that is no regular expression",
    text: `${HOMESERVERS}accessTokens:\n  appservices:\n    - asToken: t\n      userNamespaces:\n        - regex: "@(irc"\n`,
    says: /^c\.yaml:6: accessTokens\.appservices\[0\]\.userNamespaces\[0\]\.regex is not a regular expression/,
  },
  {
    what: "a namespace whose matching could take for ever",
    text: `${HOMESERVERS}accessTokens:\n  appservices:\n    - asToken: t\n      userNamespaces: [{regex: "(a+)+$"}]\n`,
    says: /^c\.yaml:5: accessTokens\.appservices\[0\]\.userNamespaces\[0\]\.regex repeats a group/,
  },
  {
    what: "an application service whose token no client could bring",
    text: `${HOMESERVERS}accessTokens:\n  appservices:\n    - asToken: ${"t".repeat(1_025)}\n`,
    says: /^c\.yaml:4: accessTokens\.appservices\[0\]\.asToken must be 1 to 1024 printable/,
  },
  {
    what: "a shared secret that no client could bring",
    text: `${HOMESERVERS}sharedSecretAuth:\n  enabled: true\n  token: "two words"\n`,
    says: /^c\.yaml:4: sharedSecretAuth\.token must be 1 to 1024 printable/,
  },
  {
    what: "an edge whose secret is too short",
    text: `${HOMESERVERS}edge:\n  enabled: true\n  hopSecret: short\n`,
    says: /^c\.yaml:4: edge\.hopSecret is too short/,
  },
  {
    what: "an edge without a secret",
    text: `${HOMESERVERS}edge:\n  enabled: true\n`,
    says: /^c\.yaml:2: edge\.hopSecret is needed/,
  },
  {
    what: "an edge bucket that cannot be found",
    text: `${HOMESERVERS}edge:\n  enabled: true\n  hopSecret: ${"x".repeat(32)}\n  bucket:\n    bucketName: media\n`,
    says: /^c\.yaml:5: edge\.bucket\.endpoint is needed/,
  },
  {
    what: "a network that is none",
    text: `${HOMESERVERS}urlPreviews:\n  disallowedNetworks:\n    - 10.0.0.0/8\n    - 10.0.0.0/33\n`,
    says: /^c\.yaml:5: urlPreviews\.disallowedNetworks\[1\] must be a network/,
  },
  {
    what: "a trusted proxy that is none",
    text: `${HOMESERVERS}repo:\n  trustedProxies: [nginx]\n`,
    says: /^c\.yaml:3: repo\.trustedProxies\[0\] must be a network/,
  },
  {
    what: "a database address of another kind",
    text: `${HOMESERVERS}database:\n  postgres: mysql://localhost/x\n`,
    says: /^c\.yaml:3: database\.postgres must be an address such as postgres/,
  },
  {
    what: "the sample's shared secret in use",
    text: `${HOMESERVERS}sharedSecretAuth:\n  enabled: true\n  token: ReplaceMe\n`,
    says: /^c\.yaml:4: sharedSecretAuth\.token must be a secret of your own/,
  },
  ...(
    [
      ["sharedSecretAuth.token", "sharedSecretAuth:\n  enabled: true\n  token: PutSomeRandomSecureValueHere\n", 4],
      ["sharedSecretAuth.token", "sharedSecretAuth:\n  enabled: true\n  token: ''\n", 4],
      ["edge.hopSecret", "edge:\n  enabled: true\n  hopSecret: put-some-random-secure-value-that-is-long-here\n", 4],
      [
        "edge.bucket.accessSecret",
        `edge:\n  enabled: true\n  hopSecret: ${"x".repeat(32)}\n  bucket: {endpoint: "http://s3", bucketName: b, accessKeyId: a, accessSecret: <secret>}\n`,
        5,
      ],
      [
        "database.postgres",
        "database:\n  postgres: postgres://your_username:your_password@localhost/database_name\n",
        3,
      ],
      ["database.postgres", "database:\n  postgres: host=db user=media password='{{ db_password }}' dbname=media\n", 3],
      ["redis.shards[0].addr", "redis:\n  enabled: true\n  shards: [{name: a, addr: 'redis://u:changeme@h'}]\n", 4],
      [
        "datastores[0].opts.accessSecret",
        "datastores:\n  - {id: a, type: s3, forKinds: [all], opts: {endpoint: s3, bucketName: b, accessKeyId: a, accessSecret: secret-key-goes-here}}\n",
        3,
      ],
      [
        "accessTokens.appservices[0].asToken",
        "accessTokens:\n  useLocalAppserviceConfig: true\n  appservices: [{asToken: Secret_token_of_appservice_from_registration}]\n",
        4,
      ],
    ] as const
  ).map(([key, text, line]) => ({
    what: `a sample's secret at ${key}, ${text.length} characters`,
    text: `${HOMESERVERS}${text}`,
    says: new RegExp(`^c\\.yaml:${line}: ${key.replace(/[[\].]/g, "\\$&")} (?:must be|holds a sample's password)`),
  })),
  {
    what: "Redis without servers",
    text: `${HOMESERVERS}redis:\n  enabled: true\n`,
    says: /^c\.yaml:2: redis\.shards must list at least one server/,
  },
  {
    what: "a word that is not in the list",
    text: `${HOMESERVERS}repo:\n  logLevel: loud\n`,
    says: /^c\.yaml:3: repo\.logLevel must be one of fatal, error/,
  },
  { what: "broken YAML", text: `${HOMESERVERS}uploads:\n\tmaxBytes: 3\n`, says: /^c\.yaml:3: is not valid YAML/ },
  { what: "a list at the top", text: "- a\n- b\n", says: /^c\.yaml: must be a mapping/ },
];

function problemsOf(work: () => unknown): string[] {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map(formatProblem);
  }
  return [];
}

function parse(text: string, name = "c.yaml"): unknown {
  return parseConfig([{ name, text }]);
}

describe("a broken configuration is refused with file, line and key:", () => {
  for (const { what, text, says } of BROKEN) {
    test(what, () => {
      const problems = problemsOf(() => parse(text));
      assert.equal(problems.length, 1, problems.join("\n"));
      assert.match(problems[0] ?? "", says);
    });
  }
});

describe("ConfigError", () => {
  test("holds all that is wrong, each thing once", () => {
    const problems = problemsOf(() => parse(`${HOMESERVERS}uploads: {maxBytes: a, minBytes: b}\nadmins: 5\n`));
    assert.deepEqual(problems.map((line) => line.split(" ")[1]).sort(), [
      "admins",
      "uploads.maxBytes",
      "uploads.minBytes",
    ]);
  });

  test("never shows the value that is wrong: it may be a secret", () => {
    const problems = problemsOf(() =>
      parse(`${HOMESERVERS}edge: {enabled: true, hopSecret: hunter2}\nuploads: {maxBytes: hunter2}\n`),
    );
    assert.ok(problems.length > 0);
    assert.ok(!problems.join("\n").includes("hunter2"));
  });

  test("names the file of a homeserver where the mistake is there", () => {
    const files = [
      { name: "main.yaml", text: `${HOMESERVERS}${STORE}` },
      { name: "org.yaml", text: "homeserver: example.org\nuploads:\n  maxBytes: lots\n" },
    ];
    assert.match(problemsOf(() => parseConfig(files)).join("\n"), /^org\.yaml:3: uploads\.maxBytes [^\n]*$/);
  });

  test("names the file of a homeserver that nobody else knows where its csApi is missing", () => {
    const files = [
      { name: "main.yaml", text: `${HOMESERVERS}${STORE}` },
      { name: "net.yaml", text: "homeserver: example.net\n" },
    ];
    assert.match(problemsOf(() => parseConfig(files)).join("\n"), /^net\.yaml:1: csApi is needed[^\n]*$/);
  });

  test("names the file of a homeserver whose name differs from another's in case alone", () => {
    const files = [
      { name: "main.yaml", text: `${HOMESERVERS}${STORE}` },
      { name: "org.yaml", text: "# ours\nhomeserver: Example.org\ncsApi: http://synapse\n" },
    ];
    assert.match(
      problemsOf(() => parseConfig(files)).join("\n"),
      /^org\.yaml:2: homeserver differs from "example\.org"/,
    );
  });

  test("refuses one id for different datastores of two homeservers", () => {
    const files = [
      { name: "main.yaml", text: `${HOMESERVERS}${STORE}` },
      {
        name: "org.yaml",
        text: "homeserver: example.org\ndatastores:\n  - {id: a, type: file, forKinds: [all], opts: {path: elsewhere}}\n",
      },
    ];
    assert.match(
      problemsOf(() => parseConfig(files)).join("\n"),
      /^org\.yaml:3: datastores\[0\]\.id is the id of a different/,
    );
  });

  test("refuses aliases that multiply", () => {
    const level = (name: string, below: string) => `${name}: &${name} [${Array(9).fill(below).join(", ")}]\n`;
    const bomb = `a: &a [x]\n${level("b", "*a")}${level("c", "*b")}${level("d", "*c")}${level("e", "*d")}`;
    assert.match(problemsOf(() => parse(bomb)).join(), /aliases/);
  });

  test("says in which file of several the syntax is broken, for all of them", () => {
    const files = ["one.yaml", "two.yaml"].map((name) => ({ name, text: "a: [\n" }));
    const problems = problemsOf(() => parseConfig(files)).join("\n");
    assert.match(problems, /^one\.yaml/m);
    assert.match(problems, /^two\.yaml/m);
  });
});

describe("a configuration that is not there", () => {
  test("is said plainly", async () => {
    await assert.rejects(loadConfig("/nowhere/media-repo.yaml"), /\/nowhere\/media-repo\.yaml: does not exist/);
  });

  test("nor may a file of a folder lead nowhere: a homeserver would be missing", async () => {
    const folder = await mkdtemp(join(tmpdir(), "mxcdn-config-"));
    try {
      await writeFile(join(folder, "a.yaml"), HOMESERVERS);
      await symlink("nowhere.yaml", join(folder, "b.yaml"));
      await assert.rejects(loadConfig(folder), /b\.yaml: cannot be read \(it leads nowhere\)/);
      await assert.rejects(loadConfig(join(folder, "b.yaml")), /b\.yaml: cannot be read/);
      await assert.rejects(loadConfig(join(folder, "a.yaml", "c.yaml")), ConfigError);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("so is an empty folder", async () => {
    const folder = await mkdtemp(join(tmpdir(), "mxcdn-config-"));
    try {
      await assert.rejects(loadConfig(folder), /is a folder without files/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
