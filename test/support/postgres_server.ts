import { execFileSync, spawn } from "node:child_process";
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import type { Certificate } from "./certificates.ts";
import { freePort } from "./free_port.ts";
import type { Lifetime } from "./lifetime.ts";
import { until } from "./until.ts";

/** A PostgreSQL server of a test's own, which it may configure as it likes. */
export interface PostgresServer {
  readonly port: number;
  /** The folder of its socket. */
  readonly socket: string;
  /** Runs statements in a database as the superuser, over the socket. */
  run(database: string, ...statements: readonly string[]): Promise<void>;
}

/** What a test says of its server. */
export interface PostgresServerOptions {
  /** Lines of `pg_hba.conf`; the superuser `postgres` is let in over the socket in any case. */
  readonly hba: readonly string[];
  /** With these it speaks TLS. */
  readonly tls?: Certificate;
}

const BIN = newestBin();

/** Why no server can be started here; false where one can. */
export const noPostgresServer: string | false = BIN === undefined && "PostgreSQL is not installed here";

/** Starts it on loopback; it is gone at the end of `t`. */
export async function startPostgresServer(t: Lifetime, options: PostgresServerOptions): Promise<PostgresServer> {
  if (BIN === undefined) throw new Error("PostgreSQL is not installed here");
  const folder = mkdtempSync(join(tmpdir(), "mxcdn-pg-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [data, socket] = [join(folder, "data"), join(folder, "socket")];
  const as = owner();
  mkdirSync(data);
  mkdirSync(socket);
  const own = (path: string) => {
    if (as) chownSync(path, as.uid, as.gid);
  };
  for (const path of [folder, data, socket]) own(path);
  const initdb = ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8"];
  execFileSync(join(BIN, "initdb"), initdb, { ...as, stdio: "ignore", cwd: folder });
  const settings = ["fsync=off", "listen_addresses='127.0.0.1'", `unix_socket_directories='${socket}'`];
  if (options.tls) {
    for (const [name, text] of Object.entries({ "server.key": options.tls.key, "server.crt": options.tls.cert })) {
      writeFileSync(join(data, name), text, { mode: 0o600 });
      own(join(data, name));
    }
    settings.push("ssl=on");
  }
  writeFileSync(join(data, "postgresql.auto.conf"), settings.map((line) => `${line}\n`).join(""));
  writeFileSync(join(data, "pg_hba.conf"), ["local all postgres trust", ...options.hba, ""].join("\n"));
  const port = await freePort();
  const server = spawn(join(BIN, "postgres"), ["-D", data, "-p", String(port)], {
    ...as,
    stdio: "ignore",
    cwd: folder,
  });
  t.after(async () => {
    // Without waiting for those who are connected.
    server.kill("SIGQUIT");
    if (server.exitCode === null) await new Promise((resolve) => server.once("exit", resolve));
  });
  const run: PostgresServer["run"] = async (database, ...statements) => {
    const client = new pg.Client({ host: socket, port, user: "postgres", database });
    await client.connect();
    try {
      for (const statement of statements) await client.query(statement);
    } finally {
      await client.end();
    }
  };
  await until(
    () =>
      run("postgres", "SELECT 1").then(
        () => true,
        () => false,
      ),
    "the server answers",
  );
  return { port, socket, run };
}

function newestBin(): string | undefined {
  const top = "/usr/lib/postgresql";
  const versions = existsSync(top) ? readdirSync(top).sort((a, b) => Number(b) - Number(a)) : [];
  return versions.map((version) => join(top, version, "bin")).find((bin) => existsSync(join(bin, "initdb")));
}

/** PostgreSQL does not run as root. `undefined`: we are somebody else already. */
function owner(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const lines = readFileSync("/etc/passwd", "utf8").split("\n");
  const [, , uid, gid] = lines.find((line) => line.startsWith("postgres:"))?.split(":") ?? [];
  return { uid: Number(uid), gid: Number(gid) };
}
