import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Database } from "../../origin/stores/db/database.ts";
import { migrate } from "../../origin/stores/db/migrate.ts";
import { openPglite } from "../../origin/stores/db/pglite.ts";
import { openPostgres } from "../../origin/stores/db/postgres.ts";
import type { Lifetime } from "./lifetime.ts";

/** A kind of database that tests are run on. `skip` goes into the test's options: a reason that is seen, or false. */
export interface DatabaseKind {
  readonly name: "pglite" | "postgres";
  readonly skip: string | false;
}

/** The migrations of this repository. */
export const MIGRATIONS = new URL("../../migrations/", import.meta.url);

/**
 * Every kind of database. Postgres wants `MXCDN_TEST_POSTGRES`, the URL of a superuser; without it its tests are skipped, or
 * fail at once where `MXCDN_TEST_SERVICES=required`.
 */
export function databaseKinds(): DatabaseKind[] {
  const missing = !process.env.MXCDN_TEST_POSTGRES;
  if (missing && process.env.MXCDN_TEST_SERVICES === "required") {
    throw new Error("MXCDN_TEST_SERVICES=required, but MXCDN_TEST_POSTGRES is not set");
  }
  return [
    { name: "pglite", skip: false },
    { name: "postgres", skip: missing && "no MXCDN_TEST_POSTGRES" },
  ];
}

/** A new database of this kind with the schema of the migrations (or `empty`), dropped at the end of `t`. */
export async function openTestDatabase(
  t: Lifetime,
  kind: DatabaseKind,
  options: { empty?: boolean; maxConnections?: number } = {},
): Promise<Database> {
  const { open, drop } = kind.name === "pglite" ? await newFolder() : await newDatabase(options.maxConnections ?? 8);
  const database = await open();
  t.after(async () => {
    await database.close();
    await drop();
  });
  if (!options.empty) await migrate(database, MIGRATIONS);
  return database;
}

interface Opener {
  open(): Promise<Database>;
  drop(): Promise<void>;
}

/** A database of its own on the server: `url` for whoever wants to open it a second time. */
export async function newDatabase(maxConnections: number): Promise<Opener & { url: string }> {
  const server = process.env.MXCDN_TEST_POSTGRES as string;
  const name = `mxcdn_test_${randomBytes(8).toString("hex")}`;
  const url = new URL(server);
  url.pathname = `/${name}`;
  await asSuperuser(server, `CREATE DATABASE ${name}`);
  return {
    url: url.href,
    open: () => openPostgres({ url: url.href, maxConnections }),
    drop: () => asSuperuser(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  };
}

async function asSuperuser(url: string, statement: string): Promise<void> {
  const database = await openPostgres({ url, maxConnections: 1 });
  await database.query(statement).finally(() => database.close());
}

/** A folder of its own with a PGlite in it ({@link putPglite}). */
export async function newFolder(): Promise<Opener & { folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-test-"));
  await putPglite(folder);
  return {
    folder,
    open: () => openPglite(folder),
    drop: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Puts an empty PGlite that was made before into a folder: making one takes seconds, copying it a tenth of one. */
export async function putPglite(folder: string): Promise<void> {
  await cp(await template(), folder, { recursive: true });
}

/** Made by the first who asks and kept beside the dependencies; when several ask at once, one of theirs stays. */
async function template(): Promise<string> {
  const modules = fileURLToPath(new URL("../../node_modules/", import.meta.url));
  const { version } = JSON.parse(await readFile(join(modules, "@electric-sql/pglite/package.json"), "utf8"));
  const kept = join(modules, ".cache", `pglite-${version}`);
  if (existsSync(kept)) return kept;
  await mkdir(join(modules, ".cache"), { recursive: true });
  const making = await mkdtemp(join(modules, ".pglite-"));
  await (await openPglite(making)).close();
  await rename(making, kept).catch(() => rm(making, { recursive: true, force: true }));
  return kept;
}
