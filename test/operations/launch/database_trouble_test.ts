import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { describeError } from "../../../origin/commands/trouble/describe_error.ts";
import { parseConfig } from "../../../origin/config/load.ts";
import { silentLog } from "../../../origin/platform/log.ts";
import { openDatabase } from "../../../origin/stores/db/open_database.ts";
import { makeAuthority } from "../../support/certificates.ts";
import { freePort } from "../../support/free_port.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { noPostgresServer, type PostgresServer, startPostgresServer } from "../../support/postgres_server.ts";
import { startRawServer } from "../../support/raw_server.ts";

/** What an operator is told of a PostgreSQL server that cannot be used, and that every form of address reaches one that can. */

const PASSWORD = "p#s@s/w?o:r d";

/** Opens the database that a configuration names. Resolves with what the operator is told: nothing where it is open. */
async function openAt(postgres: string): Promise<string[]> {
  const raw = {
    homeservers: [{ name: "example.org", csApi: "http://127.0.0.1:9" }],
    datastores: [{ id: "a", type: "file", forKinds: ["all"], opts: { path: "./media" } }],
    database: { postgres },
  };
  try {
    const { config } = parseConfig([{ name: "c.yaml", text: JSON.stringify(raw) }]);
    await (await openDatabase(config.database, silentLog)).close();
    return [];
  } catch (error) {
    return describeError(error);
  }
}

async function isTold(postgres: string, expected: RegExp): Promise<void> {
  const said = await openAt(postgres);
  assert.equal(said.length, 1, said.join("\n"));
  assert.match(said[0] ?? "", expected);
  assert.doesNotMatch(said[0] ?? "", /\[object|SASL|p#s|wrong-one/);
  assert.match(said[0] ?? "", /^(?:c\.yaml:1: database\.postgres |cannot use the database at )[^;]*; ?/);
}

describe("a PostgreSQL server", { skip: noPostgresServer }, () => {
  const lifetime = lifetimeOfSuite();
  let server: PostgresServer;
  let folder = "";
  let ca = "";
  before(async () => {
    const authority = makeAuthority();
    lifetime.after(() => authority.close());
    folder = await mkdtemp(join(tmpdir(), "mxcdn-pg-ca-"));
    lifetime.after(() => rm(folder, { recursive: true }));
    ca = join(folder, "ca.pem");
    writeFileSync(ca, authority.ca);
    server = await startPostgresServer(lifetime, {
      hba: [
        "local all all scram-sha-256",
        "hostssl all tlsonly 127.0.0.1/32 scram-sha-256",
        "host all media,poor 127.0.0.1/32 scram-sha-256",
      ],
      tls: authority.issue("DNS:localhost"),
    });
    await server.run(
      "postgres",
      ...["media", "poor", "tlsonly"].map((user) => `CREATE ROLE ${user} LOGIN PASSWORD '${PASSWORD}'`),
      "CREATE DATABASE media OWNER media",
      "CREATE DATABASE other OWNER media",
      "CREATE DATABASE standby OWNER media",
      "ALTER DATABASE standby SET default_transaction_read_only = on",
      "CREATE DATABASE bytes OWNER media ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0",
    );
    await server.run("other", "CREATE TABLE media (id text)");
  });
  const login = `media:${PASSWORD}`;
  const at = (database = "media", query = "", user = login) =>
    `postgres://${user}@127.0.0.1:${server.port}/${database}${query}`;

  test("is reached by every form of its address", async () => {
    const { port, socket } = server;
    const encoded = encodeURIComponent(PASSWORD);
    const quoted = `'${PASSWORD}'`;
    for (const form of [
      at(),
      at("media", "?sslmode=disable"),
      at("media", "?sslmode=prefer"),
      at("media", "?sslmode=require"),
      at("media", `?sslmode=verify-ca&sslrootcert=${ca}`),
      at("media", "?search_path=public&connect_timeout=5&application_name=a+b"),
      `postgresql://media:${encoded}@localhost:${port}/media?sslmode=verify-full&sslrootcert=${ca}`,
      `postgres://${login}@/media?host=${socket}&port=${port}`,
      `postgres://${login}@${encodeURIComponent(socket)}:${port}/media?sslmode=require`,
      `postgres:///media?host=${socket}&port=${port}&user=media&password=${encoded}`,
      `host=127.0.0.1 port=${port} user=media password=${quoted} dbname=media sslmode=allow`,
      `host = ${socket} port = ${port} user = media password = ${PASSWORD.replace(" ", "\\ ")} dbname = 'media'`,
      `hostaddr=127.0.0.1 host=elsewhere.invalid port=${port} user=media password=${quoted} dbname=media`,
    ]) {
      assert.deepEqual(await openAt(form), [], form);
    }
  });

  const troubles: readonly (readonly [string, () => string, RegExp])[] = [
    ["refuses the password", () => at("media", "", "media:wrong-one"), /it refuses the password; set the right user/],
    ["wants a password", () => at("media", "", "media"), /it wants a password; put one into database\.postgres/],
    [
      "does not know the user",
      () => at("media", "?sslmode=require", "nobody:x"),
      /it does not let this user in; name another user/,
    ],
    ["has no such database", () => at("nowhere"), /there is no database of this name; make it/],
    [
      "gives the user no right to make tables",
      () => at("media", "", `poor:${PASSWORD}`).replace("/media", "/standby"),
      /it is read-only/,
    ],
    [
      "gives the user no rights",
      () => at("other", "", `poor:${PASSWORD}`),
      /the user may not do there what is needed; make it the owner/,
    ],
    ["is read-only", () => at("standby"), /it is read-only, as a standby is; name the primary/],
    ["keeps text as bytes", () => at("bytes"), /its encoding is SQL_ASCII, not UTF8; make the database anew/],
    [
      "holds tables of something else",
      () => at("other"),
      /it holds tables of something else; give mxcdn a new, empty database/,
    ],
    [
      "lets in with TLS only",
      () => at("media", "?sslmode=disable", `tlsonly:${PASSWORD}`),
      /it does not let this user in without TLS; put sslmode=require/,
    ],
    [
      "has a certificate of nobody known",
      () => at("media", "?sslmode=verify-full"),
      /no authority that this machine trusts has signed its certificate/,
    ],
    [
      "has a certificate for another name",
      () => at("media", `?sslmode=verify-full&sslrootcert=${ca}`),
      /its certificate is for another name; name it as/,
    ],
    [
      "has an authority that cannot be read",
      () => at("media", "?sslmode=require&sslrootcert=/nowhere.pem"),
      /the file \/nowhere\.pem cannot be read \(ENOENT\); name a file/,
    ],
    [
      "knows no such setting",
      () => at("media", "?serch_path=x"),
      /unrecognized configuration parameter "serch_path"; see database\.postgres/,
    ],
    [
      "is not where its socket should be",
      () => `host=${folder} user=media dbname=media`,
      /there is no such socket; see that it runs/,
    ],
  ];
  for (const [what, address, expected] of troubles) {
    test(`that ${what} is named with what to do`, async () => await isTold(address(), expected));
  }
});

test("a server that is not there is named with what to do", async () => {
  await isTold(`postgres://u:wrong-one@127.0.0.1:${await freePort()}/d`, /nothing listens there; see that it runs/);
  await isTold("postgres://u:wrong-one@no-such-host.invalid/d", /its host has no address; see that the name/);
});

test("what is no PostgreSQL, or speaks no TLS, or is too old, is named with what to do", async (t) => {
  const web = await startRawServer((socket) => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  t.after(() => web.close());
  await isTold(
    `postgres://u@127.0.0.1:${web.port}/d`,
    /what listens there answers as no PostgreSQL does; see that host and/,
  );
  const plain = await startRawServer((socket) => void socket.write("N"));
  t.after(() => plain.close());
  await isTold(`postgres://u@127.0.0.1:${plain.port}/d?sslmode=require`, /it does not speak TLS; switch TLS on there/);
  const old = await startRawServer((socket, data) => void socket.write(answerOfOld(data)));
  t.after(() => old.close());
  await isTold(
    `postgres://u@127.0.0.1:${old.port}/d`,
    /it is PostgreSQL 9, and 13 is the oldest that can be used; upgrade/,
  );
});

/** What a PostgreSQL 9.6 says to whoever connects, and to the question for its version (PostgreSQL documentation, chapter 55). */
function answerOfOld(data: Buffer): Buffer {
  const ready = message("Z", Buffer.from("I"));
  if (data[0] === 0) return Buffer.concat([message("R", Buffer.alloc(4)), ready]);
  if (data[0] !== "Q".charCodeAt(0)) return Buffer.alloc(0);
  const columns = [
    ["version", 23, "90600"],
    ["read_only", 25, "off"],
    ["encoding", 25, "UTF8"],
  ] as const;
  const described = columns.map(([name, type]) => {
    const tail = Buffer.alloc(18);
    tail.writeInt32BE(type, 6);
    tail.writeInt16BE(-1, 10);
    tail.writeInt32BE(-1, 12);
    return Buffer.concat([Buffer.from(`${name}\0`), tail]);
  });
  const values = columns.map(([, , value]) => Buffer.concat([int(4, value.length), Buffer.from(value)]));
  return Buffer.concat([
    message("T", Buffer.concat([int(2, columns.length), ...described])),
    message("D", Buffer.concat([int(2, columns.length), ...values])),
    message("C", Buffer.from("SELECT 1\0")),
    ready,
  ]);
}

function message(kind: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(kind), int(4, body.length + 4), body]);
}

function int(bytes: number, value: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  buffer.writeIntBE(value, 0, bytes);
  return buffer;
}
