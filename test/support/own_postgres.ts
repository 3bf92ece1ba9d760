import { execFile } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "./free_port.ts";
import type { Lifetime } from "./lifetime.ts";

/** A Postgres of a test's own, which it may stop, start again and set as it likes. */
export interface OwnPostgres {
  /** Of its one database, as a superuser. */
  readonly url: string;
  /** Ends it at once, as a crash would. */
  crash(): Promise<void>;
  start(): Promise<void>;
}

const run = promisify(execFile);
const VERSIONS = "/usr/lib/postgresql";

/** Why tests that start a Postgres cannot run, or false. Where `MXCDN_TEST_SERVICES=required` its absence is an error. */
export function ownPostgresSkip(): string | false {
  if (binaries() !== undefined) return false;
  if (process.env.MXCDN_TEST_SERVICES === "required") throw new Error(`there is no Postgres in ${VERSIONS}`);
  return `no Postgres in ${VERSIONS}`;
}

/** Makes a cluster in a temporary folder and starts it on a free port of loopback; both are gone with `t`. `settings`: `postgresql.conf`. */
export async function startPostgres(
  t: Lifetime,
  settings: Readonly<Record<string, string>> = {},
): Promise<OwnPostgres> {
  const bin = binaries() ?? "";
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-postgres-"));
  const port = await freePort();
  if (isRoot()) await chown(folder, await postgresId("-u"), await postgresId("-g"));
  const data = join(folder, "data");
  const call = (program: string, ...options: string[]) => asPostgres(join(bin, program), options);
  const options = {
    port: String(port),
    listen_addresses: "127.0.0.1",
    unix_socket_directories: folder,
    fsync: "off",
    ...settings,
  };
  const flags = Object.entries(options).map(([name, value]) => `-c ${name}=${value}`);
  const start = async () =>
    void (await call("pg_ctl", "-D", data, "-w", "-s", "-l", join(folder, "log"), "-o", flags.join(" "), "start"));
  const crash = async () => void (await call("pg_ctl", "-D", data, "-w", "-s", "-m", "immediate", "stop"));
  t.after(async () => {
    await crash().catch(() => undefined);
    await rm(folder, { recursive: true, force: true });
  });
  await call("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync");
  await start();
  return { url: `postgres://postgres@127.0.0.1:${port}/postgres`, crash, start };
}

function binaries(): string | undefined {
  const versions = existsSync(VERSIONS) ? readdirSync(VERSIONS).sort((a, b) => Number(b) - Number(a)) : [];
  const found = versions
    .map((version) => join(VERSIONS, version, "bin"))
    .find((bin) => existsSync(join(bin, "initdb")));
  return found !== undefined && statSync(found).isDirectory() ? found : undefined;
}

/** Postgres refuses to run as root. What it starts must not hold our pipes: nothing would end then. */
async function asPostgres(program: string, options: string[]): Promise<void> {
  const [command, ...rest] = isRoot() ? ["runuser", "-u", "postgres", "--", program] : [program];
  await run(command ?? program, [...rest, ...options], { cwd: tmpdir() });
}

async function postgresId(which: "-u" | "-g"): Promise<number> {
  return Number((await run("id", [which, "postgres"])).stdout);
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}
