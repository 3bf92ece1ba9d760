import { readFile } from "node:fs/promises";
import type { Limits } from "./access/limits/limits.ts";
import type { Access } from "./app_access.ts";
import type { Base } from "./app_base.ts";
import type { Edge } from "./app_edge.ts";
import type { Live } from "./app_live.ts";
import type { MediaWork } from "./app_media.ts";
import type { Config } from "./config/schema.ts";
import { makeClientVersions } from "./domains/client_versions.ts";
import { makeAuthenticateServer } from "./http/authenticate_server.ts";
import type { DispatcherParts } from "./http/dispatcher.ts";
import type { Rooms } from "./http/routes/rooms.ts";
import { diagnoseServer } from "./matrix/diagnose_server.ts";
import type { Federation } from "./matrix/federation/federation.ts";
import type { ServerKeys } from "./matrix/keys/server_keys.ts";
import { HotBodies } from "./media/download/hot_bodies.ts";
import { makeSharedRead } from "./media/download/shared_read.ts";
import type { SteadyClock } from "./platform/clock.ts";
import { findUsage } from "./stores/db/tables/usage.ts";

/** The part of `app.ts` that says by what routes are answered. */

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

const VERSIONS_MS = 60_000;
const MIB = 1_048_576;
const SHARED_READ = { memoryBodyBytes: MIB, keptBytes: 32 * MIB, timeoutMs: 30_000, spoolBodyBytes: 256 * MIB };
const SPOOL = { totalBytes: 1_024 * MIB, timeoutMs: 10 * 60_000 };

/** What the handlers of routes ask. */
export async function roomsOf(base: Base, { access, media, federation, serverKeys }: RouteParts): Promise<Rooms> {
  const { db, steady, makeMediaId, datastores } = base;
  return {
    media,
    logouts: access.logouts,
    giveVerdict: access.giveVerdict,
    clientVersions: makeClientVersions({ clock: steady, ttlMs: VERSIONS_MS, lines: access.lines }),
    diagnoseServer: (...which) => diagnoseServer({ steady, federation, serverKeys, makeMediaId }, ...which),
    usageOf: (userId) => findUsage(db, userId),
    checkDatabase: async () => void (await db.query("SELECT 1")),
    missingDatastores: () => datastores.missing(),
    build: await readBuild(),
  };
}

/** What the dispatcher asks before and after them. */
export function dispatcherParts(base: Base, { live, limits, access, serverKeys, edge }: RouteParts): DispatcherParts {
  const { steady, metrics, makeTemporaryId } = base;
  const { tenantOf } = live;
  return {
    authenticate: access.authenticate,
    authenticateServer: makeAuthenticateServer({ serverKeys, tenants: () => live.now.tenants, tenantOf }),
    ...{ limits, domainOf: tenantOf, publishKey: edge?.publishKey, metrics, steady },
    hotBodies: makeHotBodies(base.config.downloads.cache, steady),
    openShared: makeSharedRead({ ...SHARED_READ, clock: steady, spool: { ...SPOOL, makeId: makeTemporaryId } }),
  };
}

/** Larger bodies are sent from their files as fast. */
const MOST_HOT_BYTES = MIB;

function makeHotBodies(cache: Config["downloads"]["cache"], clock: SteadyClock): HotBodies {
  return new HotBodies({
    clock,
    maxBytes: cache.enabled ? cache.maxSizeBytes : 0,
    maxBodyBytes: Math.min(cache.maxFileSizeBytes, MOST_HOT_BYTES),
    minDownloads: cache.minDownloads,
    trackedMs: cache.trackedMinutes * 60_000,
  });
}

/** Which build this is, for whoever asks for it. */
async function readBuild(): Promise<{ version: string; commit: string }> {
  const manifest = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return { version: manifest.version, commit: "unknown" };
}
