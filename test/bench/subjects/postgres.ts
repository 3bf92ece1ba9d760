import { spawn, spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { freePort } from "../../support/free_port.ts";

/** A PostgreSQL of the bench's own, with everything flushed as in production. */
export interface BenchPostgres {
  readonly url: string;
  readonly pid: number;
  close(): Promise<void>;
}

/** Starts one on a free port of loopback; `undefined` where the server's programs are not installed. */
export async function startPostgres(): Promise<BenchPostgres | undefined> {
  const bin = globSync("/usr/lib/postgresql/*/bin").sort().at(-1);
  if (bin === undefined) return undefined;
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-bench-postgres-"));
  // It refuses to run as root.
  const owner = process.getuid?.() === 0 ? ownerOf("postgres") : {};
  if (owner.uid !== undefined) await chown(folder, owner.uid, owner.gid ?? owner.uid);
  const data = join(folder, "data");
  const made = spawnSync(
    join(bin, "initdb"),
    ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"],
    owner,
  );
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`);
  const port = await freePort();
  const settings = [
    `port=${port}`,
    "listen_addresses=127.0.0.1",
    `unix_socket_directories=${folder}`,
    "max_connections=100",
  ];
  const child = spawn(join(bin, "postgres"), ["-D", data, ...settings.flatMap((one) => ["-c", one])], {
    ...owner,
    stdio: "ignore",
  });
  const gone = new Promise((resolve) => child.once("exit", resolve));
  for (
    let tries = 0;
    spawnSync(join(bin, "pg_isready"), ["-q", "-h", "127.0.0.1", "-p", `${port}`]).status !== 0;
    tries += 1
  ) {
    if (tries > 200) throw new Error("PostgreSQL does not answer");
    await setTimeout(50);
  }
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres?sslmode=disable`,
    pid: child.pid ?? 0,
    async close() {
      child.kill("SIGINT");
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function ownerOf(name: string): { uid?: number; gid?: number } {
  const row = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"))
    .find((fields) => fields[0] === name);
  return row ? { uid: Number(row[2]), gid: Number(row[3]) } : {};
}
