import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DevFacts } from "../../../origin/commands/dev/dev_facts.ts";
import { openPostgres } from "../../../origin/stores/db/postgres.ts";
import { openTestBucket } from "../../support/bucket.ts";
import { newDatabase, newFolder } from "../../support/database.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import type { Lifetime } from "../../support/lifetime.ts";
import { layWire, type Wire } from "../../support/wire.ts";
import { type RunningCommand, spawnCli } from "../launch/spawn_cli.ts";

/** Both tiers as `npm start` runs them, in a folder of their own. */
export interface Service {
  readonly command: RunningCommand;
  readonly origin: string;
  readonly edge: string;
  readonly token: string;
  /** Everything that it keeps, temporary files too. */
  readonly folder: string;
  /** Connections that do something, or are in a transaction; `undefined` for the embedded database. */
  readonly busyConnections: (() => Promise<number>) | undefined;
  /** Its connections to what it stands on, which can be cut. */
  readonly wires: { readonly store?: Wire; readonly postgres?: Wire; readonly redis?: Wire };
}

/** What it stands on: the embedded database and a folder, or Postgres and an S3 store. */
export type Ground = "pglite" | "postgres";

const TOKEN = "token_of_user";

/** Starts it, and waits until both tiers answer. */
export async function startService(lifetime: Lifetime, ground: Ground): Promise<Service> {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-soak-"));
  lifetime.after(() => rm(folder, { recursive: true, force: true }));
  const homeserver = await startHomeserver({ [TOKEN]: { user_id: "@user:example.org" } });
  lifetime.after(() => homeserver.close());
  const temp = join(folder, "tmp");
  await mkdir(temp);
  await mkdir(join(folder, "data"));
  const own = ground === "postgres" ? await newDatabase(1) : undefined;
  if (own) lifetime.after(() => own.drop());
  else await rename((await newFolder()).folder, join(folder, "data", "db"));
  const redisUrl = ground === "postgres" ? process.env.MXCDN_TEST_REDIS : undefined;
  const postgres = own && (await layWire(lifetime, own.url));
  const redis = redisUrl ? await layWire(lifetime, redisUrl) : undefined;
  const s3 = own && (await s3Store(lifetime, temp));
  const yaml = `homeservers: [{ name: example.org, csApi: "${homeserver.url}" }]
database: ${own ? `{ postgres: "${postgres?.url}" }` : "{ folder: ./data/db }"}
repo: { logLevel: warn }
rateLimit: { enabled: false }
uploads: { maxPending: 1000000 }
accessTokens: { maxCacheTimeSeconds: 3600 }
edge: { hopSecret: a-secret-of-the-soak-that-is-long-enough-0123456789 }
datastores:
  - ${s3 ? s3.yaml : '{ id: files, type: file, forKinds: [all], opts: { path: "./data/media" } }'}
${redis ? `redis: { enabled: true, shards: [{ name: one, addr: "${new URL(redis.url).host}" }] }` : ""}
`;
  await writeFile(join(folder, "soak.yaml"), yaml);
  const args = ["start", "--config", "soak.yaml", "--port", "0", "--edge-port", "0"];
  const command = spawnCli(lifetime, folder, args, { env: { TMPDIR: temp } });
  await command.says(/Ctrl-C ends both/);
  const facts = JSON.parse(await readFile(join(folder, "data", "dev.json"), "utf8")) as DevFacts;
  return {
    ...{ command, folder, token: TOKEN, origin: facts.origin, edge: facts.edge },
    wires: { ...(s3 ? { store: s3.wire } : {}), ...(postgres ? { postgres } : {}), ...(redis ? { redis } : {}) },
    busyConnections: own && (() => busyConnections(own.url)),
  };
}

async function s3Store(lifetime: Lifetime, temp: string): Promise<{ yaml: string; wire: Wire }> {
  const { endpoint: direct, bucket, accessKeyId, accessSecret } = await openTestBucket(lifetime);
  const wire = await layWire(lifetime, direct);
  const endpoint = wire.url;
  const keys = `accessKeyId: "${accessKeyId}", accessSecret: "${accessSecret}", ssl: false, tempPath: "${temp}"`;
  const yaml = `{ id: store, type: s3, forKinds: [all], opts: { endpoint: "${endpoint}", bucketName: "${bucket}", ${keys} } }`;
  return { yaml, wire };
}

async function busyConnections(url: string): Promise<number> {
  const database = await openPostgres({ url, maxConnections: 1 });
  const question = `SELECT count(*) AS count FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'`;
  const { rows } = await database.query<{ count: string }>(question).finally(() => database.close());
  return Number(rows[0]?.count);
}
