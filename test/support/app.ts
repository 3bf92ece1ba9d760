import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Overrides } from "../../origin/app.ts";
import { type App, buildApp } from "../../origin/app.ts";
import { parseConfig } from "../../origin/config/load.ts";
import { silentLog } from "../../origin/platform/log.ts";
import { newDatabase, putPglite } from "./database.ts";
import { startEdge } from "./edge.ts";
import { type Account, type FakeHomeserver, startHomeserver } from "./homeserver.ts";
import type { Lifetime } from "./lifetime.ts";
import { layWire, type Wire } from "./wire.ts";

/** An origin for a test, listening on loopback. */
export interface TestOrigin {
  readonly url: string;
  readonly app: App;
  readonly folder: string;
  /** Its main configuration file. */
  readonly yaml: string;
}

/** An entry of `homeservers` but for its name. */
export interface HomeserverSettings {
  readonly csApi: string;
  readonly adminApiKind?: "matrix" | "synapse" | "dendrite";
  readonly signingKeyPath?: string;
  readonly backoffAt?: number;
}

/** What a test may say of its origin. `yaml`: more sections of the configuration. */
export interface OriginOptions {
  /** By server name: where its client API answers, or its settings. */
  readonly homeservers: Readonly<Record<string, string | HomeserverSettings>>;
  readonly yaml?: string;
  /** More files of the configuration, such as per-domain ones. */
  readonly files?: readonly { readonly name: string; readonly text: string }[];
  readonly overrides?: Overrides;
  /** A Postgres database of the test's own; without it PGlite in the folder. */
  readonly postgres?: string | undefined;
  /** How many connections to it may be open. */
  readonly maxConnections?: number;
  /** Reuse the folder of an earlier origin, as after a restart. */
  readonly folder?: string;
}

const POOL = 5;

/** Starts an origin with a fresh database and datastore in a temporary folder. */
export async function startOrigin(lifetime: Lifetime, options: OriginOptions): Promise<TestOrigin> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), "mxcdn-test-")));
  if (options.folder === undefined) lifetime.after(() => rm(folder, { recursive: true, force: true }));
  const own = wantsPostgres(options) ? await newDatabase(POOL) : undefined;
  const postgres = options.postgres ?? own?.url;
  if (postgres === undefined && options.folder === undefined) await putPglite(databaseFolder(folder));
  const yaml = yamlOf(folder, { ...options, postgres });
  const { config } = parseConfig([{ name: "test.yaml", text: yaml }, ...(options.files ?? [])]);
  const app = await buildApp(config, { log: silentLog, ...options.overrides });
  lifetime.after(async () => {
    await app.close();
    await own?.drop();
  });
  const { address } = await app.listen();
  return { url: address, app, folder, yaml };
}

/** The runner asks for a second time on Postgres where there is one; an origin that reuses a folder goes on as it was. */
function wantsPostgres(options: OriginOptions): boolean {
  const asked = process.env.MXCDN_TEST_STACK === "postgres" && process.env.MXCDN_TEST_POSTGRES !== undefined;
  return asked && options.postgres === undefined && options.folder === undefined;
}

/** Both tiers over one bucket, with homeservers of somebody else's. */
export interface TestStack {
  readonly origin: TestOrigin;
  readonly edge: Awaited<ReturnType<typeof startEdge>>;
  /** The only one, or the first. */
  readonly homeserver: FakeHomeserver;
  /** By server name. */
  readonly homeservers: Readonly<Record<string, FakeHomeserver>>;
  /** The base addresses of both tiers, by name. */
  readonly tiers: Readonly<Record<"origin" | "edge", string>>;
  /** Where `wires` asks for them: between the origin and the edge's bucket, and its database. */
  readonly wires: Readonly<Partial<Record<"bucket" | "database", Wire>>>;
  /** Lets a changed configuration hold: `change` gets the text of the main file. */
  reconfigure(change: (yaml: string) => string, files?: OriginOptions["files"]): Promise<void>;
}

/** What a test may say of both tiers. */
export interface StackOptions extends Partial<OriginOptions> {
  readonly accounts?: Record<string, Account>;
  readonly serverName?: string;
  /** Several homeservers, each with accounts of its own: {@link accountsOf}. */
  readonly serverNames?: readonly string[];
  /** What the origin reaches by a wire that can be cut. The database is then a Postgres. */
  readonly wires?: readonly ("bucket" | "database")[];
}

/** Accounts that every stack knows unless it says otherwise: two users, a guest and an administrator of the homeserver. */
export const ACCOUNTS: Record<string, Account> = {
  token_of_user: { user_id: "@user:example.org", device_id: "DEVICE" },
  token_of_other: { user_id: "@other:example.org", device_id: "OTHER" },
  token_of_guest: { user_id: "@guest:example.org", is_guest: true },
  token_of_admin: { user_id: "@admin:example.org", admin: true },
};

/** The secret that both tiers of a test share. */
export const HOP_SECRET = "a-secret-for-tests-that-is-long-enough-0123456789";

/** The tokens that each of several homeservers knows: one user, one other user, a guest and an administrator of its own. */
export function accountsOf(serverName: string): Record<string, Account> {
  return {
    [userOf(serverName)]: { user_id: `@user:${serverName}`, device_id: "DEVICE" },
    [`other_of_${serverName}`]: { user_id: `@other:${serverName}` },
    [`guest_of_${serverName}`]: { user_id: `@guest:${serverName}`, is_guest: true },
    [adminOf(serverName)]: { user_id: `@admin:${serverName}`, admin: true },
  };
}

/** The token of a user of this homeserver, where there are several. */
export function userOf(serverName: string): string {
  return `user_of_${serverName}`;
}

/** The token of an administrator of this homeserver, where there are several. */
export function adminOf(serverName: string): string {
  return `admin_of_${serverName}`;
}

/** Starts both tiers on loopback: the origin publishes to the bucket that the edge reads. */
export async function startStack(lifetime: Lifetime, options: StackOptions = {}): Promise<TestStack> {
  const homeservers = await startHomeservers(lifetime, options);
  // The origin must know where the bucket is, and the edge where the origin answers: the edge is told when it does.
  const edge = await startEdge({ hopSecret: HOP_SECRET });
  lifetime.after(() => edge.dispose());
  const { s3 } = edge;
  const wires: { bucket?: Wire; database?: Wire } = {};
  if (options.wires?.includes("bucket")) wires.bucket = await layWire(lifetime, s3.endpoint);
  if (options.wires?.includes("database")) {
    const database = await newDatabase(POOL);
    lifetime.after(() => database.drop());
    wires.database = await layWire(lifetime, database.url);
  }
  const origin = await startOrigin(lifetime, {
    homeservers: Object.fromEntries(Object.entries(homeservers).map(([name, { url }]) => [name, url])),
    postgres: wires.database?.url,
    ...options,
    yaml: `
edge:
  enabled: true
  hopSecret: ${HOP_SECRET}
  bucket: { endpoint: "${wires.bucket?.url ?? s3.endpoint}", bucketName: "${s3.bucket}", accessKeyId: "${s3.accessKeyId}", accessSecret: "${s3.secretAccessKey}" }
${options.yaml ?? ""}
repo: { bindAddress: 127.0.0.1, port: 0, logLevel: warn }
`,
  });
  await edge.tellOrigin(origin.url);
  const [homeserver] = Object.values(homeservers);
  if (!homeserver) throw new Error("a stack has a homeserver");
  return {
    ...{ origin, edge, homeserver, homeservers, wires },
    tiers: { origin: origin.url, edge: edge.url },
    async reconfigure(change, files = options.files ?? []) {
      const { config } = parseConfig([{ name: "test.yaml", text: change(origin.yaml) }, ...files]);
      await origin.app.reconfigure(config);
    },
  };
}

async function startHomeservers(lifetime: Lifetime, options: StackOptions): Promise<Record<string, FakeHomeserver>> {
  const { serverName = "example.org", serverNames, accounts = ACCOUNTS } = options;
  const started = (serverNames ?? [serverName]).map(async (name) => {
    const homeserver = await startHomeserver(serverNames ? accountsOf(name) : accounts);
    lifetime.after(() => homeserver.close());
    return [name, homeserver] as const;
  });
  return Object.fromEntries(await Promise.all(started));
}

function databaseFolder(folder: string): string {
  return join(folder, "db");
}

function yamlOf(folder: string, options: OriginOptions): string {
  const homeservers = Object.entries(options.homeservers).map(([name, told]) => {
    const settings = typeof told === "string" ? { csApi: told } : told;
    return `  - ${JSON.stringify({ name, ...settings })}`;
  });
  const database = options.postgres
    ? `database: { postgres: "${options.postgres}", pool: { maxConnections: ${options.maxConnections ?? 25} } }`
    : `database: { folder: "${databaseFolder(folder)}" }`;
  const repo = /^repo:/m.test(options.yaml ?? "") ? "" : "repo: { bindAddress: 127.0.0.1, port: 0 }\n";
  const tokens = /^accessTokens:/m.test(options.yaml ?? "") ? "" : "accessTokens: { maxCacheTimeSeconds: 3600 }\n";
  const limits = /^rateLimit:/m.test(options.yaml ?? "") ? "" : "rateLimit: { enabled: false }\n";
  const stores = `datastores:\n  - { id: files, type: file, forKinds: [all], opts: { path: "${join(folder, "media")}" } }\n`;
  return `homeservers:\n${homeservers.join("\n")}\n${database}\n${stores}${repo}${tokens}${limits}${options.yaml ?? ""}`;
}
