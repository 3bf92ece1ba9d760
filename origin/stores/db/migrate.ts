import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Database } from "./database.ts";
import { sqlState } from "./sql_state.ts";

interface Migration {
  readonly name: string;
  readonly script: string;
  readonly checksum: string;
}

const FILE_NAME = /^\d{4}_[a-z0-9_]+\.sql$/;
/** "mxcdn" in ASCII: what the processes that start at once wait for each other on. */
const LOCK = "470171214958";
const UNIQUE_VIOLATION = "23505";
/** What the schema began with in development, before the first release. */
const UNRELEASED = "0001_media.sql";

/** The schema of the database is not one that this version can bring up to date. */
export class SchemaMismatchError extends Error {
  override readonly name = "SchemaMismatchError";
  readonly unfit = "schema";
}

/**
 * Brings the schema up to date: applies the files of `folder` (`NNNN_name.sql`) that were not applied yet, in order, each in
 * one transaction. Several processes may start at once. Returns the names of the files applied by this call.
 *
 * Errors: {@link SchemaMismatchError} when an applied file was edited or is missing here (a newer version of the service was
 * here before, or one that was never released), or a new one comes before an applied one; whatever a file's SQL throws, with
 * nothing of that file applied.
 */
export async function migrate(database: Database, folder: URL | string): Promise<string[]> {
  const migrations = await readMigrations(folder);
  await database.exec(`
    SELECT pg_advisory_xact_lock(${LOCK});
    CREATE TABLE IF NOT EXISTS schema_migrations (
      name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
    )`);
  const done: string[] = [];
  for (;;) {
    const next = await findNext(database, migrations);
    if (!next) return done;
    if (await apply(database, next)) done.push(next.name);
  }
}

async function readMigrations(folder: URL | string): Promise<Migration[]> {
  const path = typeof folder === "string" ? folder : fileURLToPath(folder);
  const names = (await readdir(path)).filter((name) => name.endsWith(".sql")).sort();
  const numbers = new Set(names.map((name) => name.slice(0, 4)));
  const odd = names.find((name) => !FILE_NAME.test(name));
  if (odd !== undefined) throw new Error(`Cannot migrate: ${odd} is not named NNNN_name.sql`);
  if (numbers.size < names.length) throw new Error("Cannot migrate: two files have the same number");
  return await Promise.all(names.map((name) => readMigration(path, name)));
}

async function readMigration(path: string, name: string): Promise<Migration> {
  const script = (await readFile(join(path, name), "utf8")).replaceAll("\r\n", "\n");
  return { name, script, checksum: createHash("sha256").update(script).digest("hex") };
}

/** The first file that was not applied, once it is sure that the applied ones are exactly those before it. */
async function findNext(database: Database, migrations: readonly Migration[]): Promise<Migration | undefined> {
  const { rows } = await database.query<{ name: string; checksum: string }>(
    "SELECT name, checksum FROM schema_migrations ORDER BY name",
  );
  if (rows[0]?.name === UNRELEASED && !migrations.some(({ name }) => name === UNRELEASED)) {
    throw new SchemaMismatchError("its schema is from development, before the first release");
  }
  for (const [index, applied] of rows.entries()) {
    const file = migrations.find(({ name }) => name === applied.name);
    if (!file) throw new SchemaMismatchError(`it has ${applied.name}, which this version does not know`);
    if (file.checksum !== applied.checksum)
      throw new SchemaMismatchError(`${file.name} was edited after it was applied`);
    if (migrations[index] !== file)
      throw new SchemaMismatchError(`${file.name} was applied before one that precedes it`);
  }
  return migrations[rows.length];
}

/** False when another process applied it meanwhile: then its row is there first. */
async function apply(database: Database, { name, script, checksum }: Migration): Promise<boolean> {
  try {
    await database.exec(`
      SELECT pg_advisory_xact_lock(${LOCK});
      INSERT INTO schema_migrations (name, checksum) VALUES ('${name}', '${checksum}');
      ${script}`);
    return true;
  } catch (error) {
    if (sqlState(error) === UNIQUE_VIOLATION && isOfOurTable(error)) return false;
    throw new Error(`Cannot apply ${name}: ${(error as Error).message}`, { cause: error });
  }
}

function isOfOurTable(error: unknown): boolean {
  return (error as { table?: string }).table === "schema_migrations";
}
