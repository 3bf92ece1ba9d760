import { readFile } from "node:fs/promises";
import type { Limits } from "./access/limits/limits.ts";
import type { Access } from "./app_access.ts";
import type { Base } from "./app_base.ts";
import type { Edge } from "./app_edge.ts";
import type { Live } from "./app_live.ts";
import type { MediaWork } from "./app_media.ts";
import { makeClientVersions } from "./domains/client_versions.ts";
import { makeAuthenticateServer } from "./http/authenticate_server.ts";
import { limitOpenRoutes, limitServers } from "./http/limit.ts";
import { configRoutes } from "./http/routes/client/config.ts";
import { createRoutes } from "./http/routes/client/create.ts";
import { logoutRoutes } from "./http/routes/client/logout.ts";
import { mediaRoutes } from "./http/routes/client/media.ts";
import { uploadRoutes } from "./http/routes/client/upload.ts";
import { uploadAsyncRoutes } from "./http/routes/client/upload_async.ts";
import { versionsRoutes } from "./http/routes/client/versions.ts";
import { edgeRoutes } from "./http/routes/edge/edge.ts";
import { edgeDomainRoutes } from "./http/routes/edge/edge_domain.ts";
import { federationRoutes } from "./http/routes/federation/federation.ts";
import { federationTestRoutes } from "./http/routes/mmr/federation_test_admin.ts";
import { identiconRoutes } from "./http/routes/mmr/identicon.ts";
import { infoRoutes } from "./http/routes/mmr/info.ts";
import { localCopyRoutes } from "./http/routes/mmr/local_copy.ts";
import { purgeRoutes } from "./http/routes/mmr/purge.ts";
import { usageRoutes } from "./http/routes/mmr/usage.ts";
import { versionRoutes } from "./http/routes/mmr/version.ts";
import { healthRoutes } from "./http/routes/ops/health.ts";
import type { Route } from "./http/server.ts";
import { diagnoseServer } from "./matrix/diagnose_server.ts";
import type { Federation } from "./matrix/federation/federation.ts";
import type { ServerKeys } from "./matrix/keys/server_keys.ts";
import { makeSharedRead } from "./media/download/shared_read.ts";
import { findUsage } from "./stores/db/tables/usage.ts";

/** The part of `app.ts` that says what is answered, and by what. */

/** What the routes are made of. */
export interface RouteParts {
  readonly live: Live;
  readonly limits: Limits;
  readonly access: Access;
  readonly media: MediaWork;
  readonly federation: Federation;
  readonly serverKeys: ServerKeys;
  readonly edge: Edge | undefined;
}

const BODY_IDLE_MS = 30_000;
const VERSIONS_MS = 60_000;
const MIB = 1_048_576;
const SHARED_READ = { memoryBodyBytes: MIB, keptBytes: 32 * MIB, timeoutMs: 30_000, spoolBodyBytes: 256 * MIB };
const SPOOL = { totalBytes: 1_024 * MIB, timeoutMs: 10 * 60_000 };

/** Every route of the origin. The limits of `rateLimit` hold for all but the health check and what the edge asks for itself. */
export async function listRoutes(base: Base, parts: RouteParts): Promise<Route[]> {
  const { db, steady } = base;
  const { live, limits, media } = parts;
  const { authenticate, logouts, giveVerdict } = parts.access;
  const { tenantOf } = live;
  const asking = { tenantOf, authenticate };
  const bodyIdleMs = base.overrides.bodyIdleMs ?? BODY_IDLE_MS;
  return [
    ...uploadRoutes({ ...asking, upload: media.upload, bodyIdleMs }),
    ...createRoutes({ ...asking, create: media.create, bodyIdleMs }),
    ...uploadAsyncRoutes({ ...asking, complete: media.complete, bodyIdleMs }),
    ...mediaRoutes({
      ...asking,
      download: media.download,
      thumbnail: media.thumbnail,
      limits,
    }),
    ...listFederationRoutes(base, parts),
    ...configRoutes(asking),
    ...usageRoutes({ ...asking, usageOf: (userId) => findUsage(db, userId) }),
    ...infoRoutes({ ...asking, info: media.info }),
    ...localCopyRoutes({ ...asking, localCopy: media.localCopy }),
    ...purgeRoutes({ ...asking, purge: media.purge }),
    ...logoutRoutes({ ...asking, logouts }),
    ...(giveVerdict ? edgeRoutes({ tenantOf, giveVerdict }) : []),
    ...limitOpenRoutes(limits, [
      ...identiconRoutes({ tenantOf }),
      ...versionsRoutes({
        tenantOf,
        clientVersions: makeClientVersions({ clock: steady, ttlMs: VERSIONS_MS, lines: parts.access.lines }),
      }),
      ...versionRoutes(await readBuild()),
    ]),
    ...(parts.edge ? edgeDomainRoutes({ tenantOf }) : []),
    ...healthRoutes({
      check: async () => void (await db.query("SELECT 1")),
      missingDatastores: () => base.datastores.missing(),
    }),
  ];
}

function listFederationRoutes(base: Base, parts: RouteParts): Route[] {
  const { live, limits, federation, serverKeys, media, edge } = parts;
  const { steady, makeMediaId, makeTemporaryId } = base;
  const { tenantOf } = live;
  const authenticateServer = limitServers(
    limits,
    makeAuthenticateServer({ serverKeys, tenants: () => live.now.tenants, tenantOf }),
  );
  return [
    ...federationRoutes({
      ...{ authenticateServer, limits },
      download: media.download,
      thumbnail: media.thumbnail,
      openShared: makeSharedRead({ ...SHARED_READ, clock: steady, spool: { ...SPOOL, makeId: makeTemporaryId } }),
      publishKey: edge?.publishKey,
    }),
    ...federationTestRoutes({
      ...{ tenantOf, authenticate: parts.access.authenticate },
      diagnoseServer: (...which) => diagnoseServer({ steady, federation, serverKeys, makeMediaId }, ...which),
    }),
  ];
}

/** Which build this is, for whoever asks for it. */
async function readBuild(): Promise<{ version: string; commit: string }> {
  const manifest = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return { version: manifest.version, commit: "unknown" };
}
