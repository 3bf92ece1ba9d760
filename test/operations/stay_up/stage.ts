import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { HOP_SECRET } from "../../support/app.ts";
import { openTestBucket } from "../../support/bucket.ts";
import { newDatabase } from "../../support/database.ts";
import { type RunningEdge, startEdge } from "../../support/edge.ts";
import { type FakeHomeserver, startHomeserver } from "../../support/homeserver.ts";
import type { Lifetime } from "../../support/lifetime.ts";
import { type OriginProcess, startOriginProcess } from "../../support/origin_process.ts";
import {
  envelope,
  LOOPBACK_FEDERATION,
  makeOwnKey,
  makeRemoteWorld,
  type RemoteServer,
} from "../../support/remote_server.ts";
import { laySlowWire } from "../../support/slow_wire.ts";

/** Both tiers, the origin in a process of its own, and everything that it needs answering late. */
export interface SlowStage {
  readonly origin: OriginProcess;
  readonly edge: RunningEdge;
  readonly tiers: Readonly<Record<"origin" | "edge", string>>;
  readonly homeserver: FakeHomeserver;
  readonly remote: RemoteServer;
  /** Where the origin has its database, if that is a Postgres. */
  readonly postgres: string | undefined;
}

/** Where the bodies lie: on a slow disk, or in a slow S3 store. */
export type Store = "file" | "s3";

export const SERVER = "example.org";
export const ADMIN = "token_of_admin";
/** How late everything comes, in milliseconds. */
const STORE_MS = 60;
const HOMESERVER_MS = 40;
const REMOTE_MS = 120;
const POOL = 25;

/** Starts it. What is asked of the homeserver is answered at once until `homeserver.delayMs` is set. */
export async function openSlowStage(lifetime: Lifetime, store: Store): Promise<SlowStage> {
  const homeserver = await startHomeserver({ [ADMIN]: { user_id: `@admin:${SERVER}`, admin: true } });
  lifetime.after(() => homeserver.close());
  const world = makeRemoteWorld(lifetime);
  const remote = await world.start();
  remote.instead.set("/_matrix/federation/v1/media/download/", async (request, response) => {
    const id = (request.url ?? "").split("?")[0]?.split("/").at(-1) ?? "";
    const whole = envelope({ bytes: Buffer.alloc(300_000, id), type: "application/octet-stream" });
    await late(REMOTE_MS);
    response.writeHead(200, { "content-type": "multipart/mixed; boundary=b0undary" });
    response.write(whole.subarray(0, 100_000));
    await late(REMOTE_MS);
    response.end(whole.subarray(100_000));
  });
  const key = await makeOwnKey(lifetime);
  const edge = await startEdge({ hopSecret: HOP_SECRET });
  lifetime.after(() => edge.dispose());
  const database = store === "s3" && process.env.MXCDN_TEST_POSTGRES ? await newDatabase(POOL) : undefined;
  if (database) lifetime.after(() => database.drop());
  const bucketUrl = await laySlowWire(lifetime, edge.s3.endpoint, STORE_MS);
  const media = store === "s3" ? await slowBucket(lifetime) : undefined;
  const ca = join(key.path, "..", "ca.pem");
  await writeFile(ca, world.authority.ca);
  const origin = await startOriginProcess(lifetime, {
    postgres: database?.url,
    preload: new URL("../../support/slow_disk.ts", import.meta.url),
    env: (folder) => ({ SLOW_FOLDER: join(folder, "media"), NODE_EXTRA_CA_CERTS: ca }),
    files: [key.configure(SERVER)],
    yaml: (folder) => `
homeservers: [{ name: ${SERVER}, csApi: "${homeserver.url}" }]
admins: ["@admin:${SERVER}"]
uploads: { maxPending: 100000 }
accessTokens: { maxCacheTimeSeconds: 0 }
federation: ${LOOPBACK_FEDERATION}
datastores:
${media?.(folder) ?? `  - { id: files, type: file, forKinds: [all], opts: { path: "${folder}/media" } }`}
edge:
  enabled: true
  hopSecret: ${HOP_SECRET}
  bucket: { endpoint: "${bucketUrl}", bucketName: "${edge.s3.bucket}", accessKeyId: "${edge.s3.accessKeyId}", accessSecret: "${edge.s3.secretAccessKey}" }
`,
  });
  await edge.tellOrigin(origin.url);
  homeserver.delayMs = HOMESERVER_MS;
  return { origin, edge, tiers: { origin: origin.url, edge: edge.url }, homeserver, remote, postgres: database?.url };
}

async function slowBucket(lifetime: Lifetime): Promise<(folder: string) => string> {
  const { endpoint, bucket, accessKeyId, accessSecret } = await openTestBucket(lifetime);
  const slow = await laySlowWire(lifetime, endpoint, STORE_MS);
  return (folder) =>
    `  - { id: s3, type: s3, forKinds: [all], opts: { endpoint: "${slow}", bucketName: ${bucket}, accessKeyId: ${accessKeyId}, accessSecret: ${accessSecret}, region: auto, tempPath: "${folder}/staging" } }`;
}

function late(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
