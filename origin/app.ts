import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { formatMxc, type Mxc } from "../shared/mxc.ts";
import { loadIdentities, makeFederation, makePulling } from "./app_federation.ts";
import { addDatastores, openDatabase, openDatastores, openEdgeBucket } from "./app_stores.ts";
import { makeTenants, type TenantParts } from "./app_tenants.ts";
import type { Config } from "./config/schema.ts";
import { makeAuthenticate } from "./http/authenticate.ts";
import { makeAuthenticateServer } from "./http/authenticate_server.ts";
import { limitAuthenticate, limitOpenRoutes, limitRoutes, limitServers, limitVerdict } from "./http/limit.ts";
import { type MetricsServer, startMetricsServer } from "./http/metrics_server.ts";
import { configRoutes } from "./http/routes/config.ts";
import { createRoutes } from "./http/routes/create.ts";
import { edgeRoutes } from "./http/routes/edge.ts";
import { federationRoutes } from "./http/routes/federation.ts";
import { federationTestRoutes } from "./http/routes/federation_test_admin.ts";
import { healthRoutes } from "./http/routes/health.ts";
import { identiconRoutes } from "./http/routes/identicon.ts";
import { infoRoutes } from "./http/routes/info.ts";
import { localCopyRoutes } from "./http/routes/local_copy.ts";
import { logoutRoutes } from "./http/routes/logout.ts";
import { mediaRoutes } from "./http/routes/media.ts";
import { purgeRoutes } from "./http/routes/purge.ts";
import { uploadRoutes } from "./http/routes/upload.ts";
import { uploadAsyncRoutes } from "./http/routes/upload_async.ts";
import { usageRoutes } from "./http/routes/usage.ts";
import { versionRoutes } from "./http/routes/version.ts";
import { versionsRoutes } from "./http/routes/versions.ts";
import { selectDomain } from "./http/select_domain.ts";
import { makeServer } from "./http/server.ts";
import type { Tenant } from "./http/tenant.ts";
import { makeImager } from "./imaging/imager.ts";
import { makeCleanStaging } from "./jobs/clean_staging.ts";
import { makeExpirePending } from "./jobs/expire_pending.ts";
import { makeExpireThumbnails } from "./jobs/expire_thumbnails.ts";
import { makeReap } from "./jobs/reap.ts";
import { type Schedule, startSchedule } from "./jobs/schedule.ts";
import { makeSweepEdge } from "./jobs/sweep_edge.ts";
import { makeSweepOrphans } from "./jobs/sweep_orphans.ts";
import { makeDns } from "./net/dns.ts";
import { makeAddressGuard } from "./net/ip_ranges.ts";
import { makeSafeFetch } from "./net/safe_fetch.ts";
import { makeJudgeToken } from "./pipelines/authenticate/judge_token.ts";
import { retireServices } from "./pipelines/authenticate/retire_services.ts";
import { makeRevoke, type RevokeParts } from "./pipelines/authenticate/revoke.ts";
import { TokenCache } from "./pipelines/authenticate/token_cache.ts";
import { makeVerdict } from "./pipelines/authenticate/verdict.ts";
import { makeAccessLog } from "./pipelines/download/access_log.ts";
import { arrivalOf, makeAwaitPending } from "./pipelines/download/await_pending.ts";
import { makeDownload } from "./pipelines/download/download.ts";
import { makeFindArriving, makeFindVisible } from "./pipelines/download/find_servable.ts";
import { makeLocalFile } from "./pipelines/download/local_file.ts";
import { makeRestore } from "./pipelines/download/pull_restore.ts";
import { makeSharedRead } from "./pipelines/download/shared_read.ts";
import { makeDiagnoseServer } from "./pipelines/federation/diagnose_server.ts";
import { makeInfo } from "./pipelines/info/info.ts";
import { makeLimits } from "./pipelines/limits/limits.ts";
import { makeQuotas } from "./pipelines/limits/quota.ts";
import { makeLocalCopy } from "./pipelines/local_copy/local_copy.ts";
import { makeOrderCheck } from "./pipelines/publish/order_check.ts";
import { makeOutbox } from "./pipelines/publish/outbox.ts";
import { makePublish } from "./pipelines/publish/publish.ts";
import { makePublishKey } from "./pipelines/publish/publish_key.ts";
import { makePurge } from "./pipelines/purge/purge.ts";
import { makeGenerate } from "./pipelines/thumbnail/generate.ts";
import { makeThumbnails } from "./pipelines/thumbnail/thumbnail.ts";
import { makeCompleteUpload } from "./pipelines/upload/complete.ts";
import { makeCreateUpload } from "./pipelines/upload/create.ts";
import { makeReceive } from "./pipelines/upload/receive.ts";
import { makeStoreOnce } from "./pipelines/upload/store_once.ts";
import { makeUpload } from "./pipelines/upload/upload.ts";
import { makeClientVersions } from "./pipelines/versions/client_versions.ts";
import { type Clock, systemClock } from "./platform/clock.ts";
import { FreshCache } from "./platform/fresh_cache.ts";
import { type MakeId, randomMediaId, randomRequestId } from "./platform/ids.ts";
import { type Log, makeLog } from "./platform/log.ts";
import { type Metrics, makeMetrics } from "./platform/metrics.ts";
import { openCache } from "./stores/cache/open_cache.ts";
import { bytesByDatastore } from "./stores/db/blobs.ts";
import type { Database, Queryable } from "./stores/db/database.ts";
import { nextGeneration } from "./stores/db/generations.ts";
import { findMedia, type Media } from "./stores/db/media.ts";
import { notify } from "./stores/db/notify.ts";
import { forgetFetches } from "./stores/db/remote_fetches.ts";
import type { Thumbnail } from "./stores/db/thumbnails.ts";
import { findUsage } from "./stores/db/usage.ts";
import { noteVerdict } from "./stores/db/verdicts.ts";
import type { EdgeBucket } from "./stores/edge/edge_bucket.ts";

/** What a test, or the command that starts both tiers, may put in place of the origin's own. Times in milliseconds. */
export interface Overrides {
  readonly clock?: Clock;
  readonly log?: Log;
  readonly makeMediaId?: MakeId;
  /** How long a body that nothing points at is kept. */
  readonly graceMs?: number;
  /** How long a body of a request may stand still. */
  readonly bodyIdleMs?: number;
  /** Objects without a row younger than this are left alone. */
  readonly orphanAgeMs?: number;
  /** How many requests may wait for asynchronous uploads. */
  readonly maxWaiting?: number;
  /** How many thumbnails may wait to be made. */
  readonly thumbnailQueue?: number;
  /** How often an asynchronous upload that is waited for is looked for, beside being notified of it. */
  readonly recheckMs?: number;
  /** Certificates to trust instead of the built-in ones, in connections to other servers (PEM). */
  readonly outboundCa?: string;
}

/** A whole origin. */
export interface App {
  readonly server: FastifyInstance;
  readonly metrics: Metrics;
  readonly db: Database;
  readonly jobs: Schedule;
  /** Lets a changed configuration hold, as far as it can while we run; says in the log what needs a restart. */
  reconfigure(config: Config): Promise<void>;
  /** Starts answering at the configured address. */
  listen(): Promise<{ address: string }>;
  /** Stops accepting, lets what is under way end within a bounded time, and closes everything in reverse order. */
  close(): Promise<void>;
}

const BODY_IDLE_MS = 30_000;
const GRACE_MS = 60 * 60_000;
const ORPHAN_AGE_MS = 24 * 60 * 60_000;
const TOMBSTONE_MS = 60 * 60_000;
const EDGE_WRITE_MS = 30_000;
/** A client waits for it. */
const VERDICT_WRITE_MS = 3_000;
const PUBLICATION_MS = 10 * 60_000;
const THUMBNAIL_MS = 60_000;
const THUMBNAIL_QUEUE = 500;
const DECODE_MS = 15_000;
const DECODER_BYTES = 1_200_000_000;
const OUTBOX_AGE_MS = 5_000;
const ESTIMATE_MS = 10 * 60_000;
const DNS_MS = 5_000;
const USER_AGENT = "mxcdn";
const REVOKED_CHANNEL = "mxcdn_revoked";
const CHANGED_CHANNEL = "mxcdn_changed";
/** As long as the edge believes what it has read. */
const ROW_MS = 2_000;
const MAX_ROWS = 10_000;
const UPLOADED_CHANNEL = "mxcdn_uploaded";
const MAX_WAITING = 2_000;
const RECHECK_MS = 10_000;
const PENDING_GRACE_MS = 24 * 60 * 60_000;
const VERSIONS_MS = 60_000;
const SHARED_READ = { maxBodyBytes: 1_048_576, keptBytes: 32 * 1_048_576, timeoutMs: 30_000 };
const DEAD_FETCH_MS = 60 * 60_000;

/**
 * Builds a whole origin from its configuration: opens what keeps the data, constructs the parts from the bottom up, each
 * with just what it needs, and hands back how to close them in reverse order.
 *
 * Errors: whatever keeps it from starting, with everything that was opened closed again.
 */
export async function buildApp(config: Config, overrides: Overrides = {}): Promise<App> {
  const closers: (() => Promise<unknown> | unknown)[] = [];
  const close = once(async () => {
    for (const one of closers.reverse()) await one();
  });
  try {
    return await construct(config, overrides, closers, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function construct(
  config: Config,
  overrides: Overrides,
  closers: (() => Promise<unknown> | unknown)[],
  close: () => Promise<void>,
): Promise<App> {
  const clock = overrides.clock ?? systemClock;
  const log = overrides.log ?? makeLog({ level: config.repo.logLevel, json: config.repo.jsonLogs, write: toStdout });
  const makeTemporaryId: MakeId = () => randomBytes(12).toString("hex");
  const metrics = makeMetrics({ ofProcess: config.metrics.enabled });

  const db = await openDatabase(config, log);
  closers.push(() => db.close());
  const datastores = openDatastores(config);
  closers.push(() => Promise.all([...datastores.values()].map((store) => store.close())));
  const findDatastore = (id: string) => datastores.get(id);

  const dns = makeDns({ timeoutMs: DNS_MS });
  const safeFetch = makeSafeFetch({
    allows: makeAddressGuard(config.federation),
    addresses: (hostname) => dns.addresses(hostname),
    userAgent: USER_AGENT,
    ...(overrides.outboundCa === undefined ? {} : { ca: overrides.outboundCa }),
  });
  closers.push(() => safeFetch.close());
  const imager = makeImager({
    processes: decoders(config.thumbnails.numWorkers),
    queueLength: overrides.thumbnailQueue ?? THUMBNAIL_QUEUE,
    timeoutMs: DECODE_MS,
    maxPixels: config.thumbnails.maxPixels,
    maxMemoryBytes: DECODER_BYTES,
    log,
  });
  closers.push(() => imager.close());

  // The edge: what it is told of, and how.
  const bucket = openEdgeBucket(config);
  if (bucket) closers.push(() => bucket.close());
  const outbox =
    bucket && makeOutbox({ db, clock, bucket, log, metrics, deadlineMs: EDGE_WRITE_MS, tombstoneMs: TOMBSTONE_MS });
  const keepsOrder = bucket && makeOrderCheck({ bucket, makeId: makeTemporaryId, log });
  const publish =
    bucket &&
    keepsOrder &&
    makePublish({
      bucket,
      keepsOrder,
      datastores: findDatastore,
      bucketDatastoreId: [...datastores.values()].find((store) => bucket.isSameBucket(store))?.id,
      log,
      metrics,
      deadlineMs: PUBLICATION_MS,
    });

  // How much may be asked for.
  const cache = await openCache({ redis: config.redis.enabled ? config.redis : undefined, clock, log });
  closers.push(() => cache.close());
  const limits = makeLimits({ settings: () => live.config.rateLimit, buckets: cache.buckets, clock, log, metrics });

  // Who asks.
  const tokens = new TokenCache(clock);
  const judgeToken = makeJudgeToken({
    clock,
    cache: tokens,
    metrics,
    drawGeneration: ({ key, tokenHash }, { serverName, tokenTtlMs }) =>
      noteVerdict(db, { key, tokenHash, serverName, expiresAt: clock() + tokenTtlMs }),
  });
  const revoking: Omit<RevokeParts, "deliver"> = {
    db,
    clock,
    cache: tokens,
    tell: (tx, what) => notify(tx, REVOKED_CHANNEL, JSON.stringify(what)),
  };
  const revoke = makeRevoke({ ...revoking, deliver: outbox && ((keys) => outbox.deliver(keys)) });
  // While we start, the edge may not be there yet: the job tells it.
  const revokeLater = makeRevoke({ ...revoking, deliver: outbox && (async () => {}) });
  closers.push(await db.listen(REVOKED_CHANNEL, (payload) => forget(tokens, payload)));

  // Whom we serve: what a changed configuration changes while we run.
  const estimateBytes = remembered(clock, ESTIMATE_MS, () => bytesByDatastore(db));
  const livePart = async (from: Config) =>
    makeLive(from, { clock, safeFetch, datastores, estimateBytes, identities: await loadIdentities(from) });
  let live = await livePart(config);
  const tenantOf = (request: FastifyRequest): Tenant => selectDomain(live.tenants, request.context.host);
  const sharedSecret = () => live.sharedSecret;
  const authenticate = limitAuthenticate(
    limits,
    makeAuthenticate({
      judgeToken,
      sharedSecret,
      isAdmin: (userId) => live.admins.has(userId),
    }),
  );

  const giveVerdict =
    bucket &&
    keepsOrder &&
    makeVerdict({ db, clock, judgeToken, bucket, keepsOrder, metrics, sharedSecret, deadlineMs: VERDICT_WRITE_MS });
  await retireServices({ db, revoke: revokeLater }, live);

  // What we do.
  const storeOnce = makeStoreOnce({ db, clock, log });
  const makeMediaId = overrides.makeMediaId ?? randomMediaId;
  const quotas = makeQuotas(db);
  const receive = makeReceive({ makeTemporaryId, storeOnce, quotas });
  const upload = makeUpload({ clock, makeMediaId, receive });
  const create = makeCreateUpload({ db, clock, makeMediaId, quotas });
  const announce = (tx: Queryable, mxc: Mxc) => notify(tx, UPLOADED_CHANNEL, arrivalOf(mxc));
  const complete = makeCompleteUpload({ db, clock, receive, announce });
  const awaitPending = makeAwaitPending({
    db,
    clock,
    log,
    maxWaiting: overrides.maxWaiting ?? MAX_WAITING,
    recheckMs: overrides.recheckMs ?? RECHECK_MS,
  });
  closers.push(await db.listen(UPLOADED_CHANNEL, (uri) => void awaitPending.arrived(uri)));
  const federation = makeFederation(config, { clock, safeFetch, srv: dns.srv, hints: cache.hints });
  const pulling = await makePulling(config, {
    ...{ db, clock, log, metrics, limits, safeFetch, storeOnce, makeTemporaryId },
    datastores: findDatastore,
    federationFetch: federation.federationFetch,
  });
  const { pullRemote } = pulling;
  const ignored = new Set(config.federation.ignoredHosts.map((name) => name.toLowerCase()));
  const isOurs = (serverName: string) => live.tenants.has(serverName);
  const mediaRows = new FreshCache<Media>({ clock, ttlMs: ROW_MS, max: MAX_ROWS });
  closers.push(await db.listen(CHANGED_CHANNEL, (uri) => mediaRows.forget(uri)));
  const visibility = {
    findMedia: (mxc: Mxc) => mediaRows.get(formatMxc(mxc), () => findMedia(db, mxc)),
    awaitPending: awaitPending.wait,
    pullRemote,
    isOurs,
    isIgnored: (serverName: string) => ignored.has(serverName.toLowerCase()),
    freezeNewMedia: () => live.config.repo.freezeUnauthenticatedMedia,
  };
  const findVisible = makeFindVisible(visibility);
  const restore = makeRestore({ pullRemote, isOurs });
  const bringLocal = makeLocalFile({ datastores: findDatastore, makeId: makeTemporaryId });
  const purge = makePurge({
    db,
    clock,
    edge: outbox,
    async forget(mxc) {
      mediaRows.forget(formatMxc(mxc));
      await notify(db, CHANGED_CHANNEL, formatMxc(mxc));
    },
  });
  const accessLog = makeAccessLog({ db, clock, log });
  closers.push(() => accessLog.flush());
  const download = makeDownload({
    findVisible,
    findArriving: makeFindArriving(visibility),
    datastores: findDatastore,
    restore,
    publish,
    accessLog,
  });
  const generate = makeGenerate({
    db,
    clock,
    bringLocal,
    imager,
    storeOnce,
    makeTemporaryId,
    metrics,
    deadlineMs: THUMBNAIL_MS,
  });
  const thumbnailRows = new FreshCache<Thumbnail>({ clock, ttlMs: ROW_MS, max: MAX_ROWS });
  const thumbnail = makeThumbnails({
    db,
    rows: thumbnailRows,
    findVisible,
    datastores: findDatastore,
    restore,
    generate,
    publish,
  });
  const info = makeInfo({ db, findVisible, bringLocal, probe: imager.probe, deadlineMs: THUMBNAIL_MS });
  const localCopy = makeLocalCopy({ db, clock, makeMediaId, findVisible, quotas });
  const clientVersions = makeClientVersions({ clock, ttlMs: VERSIONS_MS });

  const authenticateServer = limitServers(
    limits,
    makeAuthenticateServer({ serverKeys: federation.serverKeys, tenants: () => live.tenants, tenantOf }),
  );
  const diagnoseServer = makeDiagnoseServer({ ...federation, clock, safeFetch, makeMediaId });
  const openShared = makeSharedRead(SHARED_READ);
  const publishKey =
    bucket &&
    makePublishKey({
      bucket,
      clock,
      log,
      metrics,
      drawGeneration: () => nextGeneration(db),
      deadlineMs: EDGE_WRITE_MS,
    });

  const bodyIdleMs = overrides.bodyIdleMs ?? BODY_IDLE_MS;
  const server = makeServer(
    {
      log,
      clock,
      makeRequestId: randomRequestId,
      metrics,
      hopSecret: config.edge.enabled ? config.edge.hopSecret : undefined,
      trusted: { address: (peer) => live.trusted.address(peer), host: (peer) => live.trusted.host(peer) },
    },
    [
      ...limitRoutes(limits, [
        ...uploadRoutes({ tenantOf, authenticate, upload, bodyIdleMs }),
        ...createRoutes({ tenantOf, authenticate, create, bodyIdleMs }),
        ...uploadAsyncRoutes({ tenantOf, authenticate, complete, bodyIdleMs }),
        ...mediaRoutes({ tenantOf, authenticate, download, thumbnail, limits }),
        ...federationRoutes({ authenticateServer, download, thumbnail, openShared, limits, publishKey }),
        ...federationTestRoutes({ tenantOf, authenticate, diagnoseServer }),
        ...configRoutes({ tenantOf, authenticate }),
        ...usageRoutes({ tenantOf, authenticate, usageOf: (userId) => findUsage(db, userId) }),
        ...infoRoutes({ tenantOf, authenticate, info }),
        ...localCopyRoutes({ tenantOf, authenticate, localCopy }),
        ...purgeRoutes({ tenantOf, authenticate, purge }),
        ...logoutRoutes({ tenantOf, authenticate, revoke }),
        ...(giveVerdict ? edgeRoutes({ tenantOf, giveVerdict: limitVerdict(limits, giveVerdict) }) : []),
      ]),
      ...limitOpenRoutes(limits, [
        ...identiconRoutes({ tenantOf }),
        ...versionsRoutes({ tenantOf, clientVersions }),
        ...versionRoutes(await readBuild()),
      ]),
      ...healthRoutes({ check: async () => void (await db.query("SELECT 1")) }),
    ],
  );
  closers.push(() => server.close());
  // Closed before the server, which waits for its answers: nobody is left waiting for an upload.
  closers.push(() => awaitPending.close());
  closers.push(() => pulling.close());

  const sweepEdgeJob = (ofBucket: EdgeBucket) => ({
    name: "sweep_edge",
    everyMs: 60 * 60_000,
    run: makeSweepEdge({
      db,
      clock,
      bucket: ofBucket,
      minAgeMs: overrides.orphanAgeMs ?? ORPHAN_AGE_MS,
      isDatastore: [...datastores.values()].some((store) => ofBucket.isSameBucket(store)),
    }),
  });

  // What runs by the clock.
  const jobs = startSchedule(
    [
      { name: "outbox", everyMs: 2_000, run: async () => await outbox?.sweep(OUTBOX_AGE_MS) },
      {
        name: "reap",
        everyMs: 60_000,
        run: makeReap({ db, clock, log, datastores: findDatastore, bucket, graceMs: overrides.graceMs ?? GRACE_MS }),
      },
      {
        name: "expire_pending",
        everyMs: 10 * 60_000,
        run: makeExpirePending({ db, clock, graceMs: PENDING_GRACE_MS }),
      },
      {
        name: "clean_staging",
        everyMs: 60 * 60_000,
        run: makeCleanStaging({
          clock,
          folders: [...datastores.values()].map((store) => store.stagingFolder),
          minAgeMs: overrides.orphanAgeMs ?? ORPHAN_AGE_MS,
        }),
      },
      {
        name: "forget_fetches",
        everyMs: 60 * 60_000,
        run: async () => void (await forgetFetches(db, clock() - DEAD_FETCH_MS)),
      },
      {
        name: "expire_thumbnails",
        everyMs: 60 * 60_000,
        run: makeExpireThumbnails({
          db,
          clock,
          days: () => live.config.thumbnails.expireAfterDays,
          hasEdge: bucket !== undefined,
        }),
      },
      { name: "last_access", everyMs: 60_000, run: () => accessLog.flush() },
      ...(bucket ? [sweepEdgeJob(bucket)] : []),
      {
        name: "sweep",
        everyMs: 6 * 60 * 60_000,
        run: makeSweepOrphans({
          db,
          clock,
          log,
          datastores: [...datastores.values()],
          minAgeMs: overrides.orphanAgeMs ?? ORPHAN_AGE_MS,
        }),
      },
    ],
    log,
  );
  closers.push(() => jobs.close());

  return {
    server,
    metrics,
    db,
    jobs,
    close,
    async reconfigure(changed) {
      addDatastores(datastores, changed);
      live = await livePart(changed);
      tokens.clear();
      await retireServices({ db, revoke }, live);
      const restart = needsRestart(config, changed);
      if (restart.length > 0) log.warn({ sections: restart }, "these changes hold after a restart");
    },
    async listen() {
      const page = config.metrics.enabled ? await startMetricsServer(metrics, config.metrics) : undefined;
      if (page) closers.push(() => (page satisfies MetricsServer).close());
      return { address: await server.listen({ host: config.repo.bindAddress, port: config.repo.port }) };
    },
  };
}

/** Which build this is, for whoever asks for it. */
async function readBuild(): Promise<{ version: string; commit: string }> {
  const manifest = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return { version: manifest.version, commit: "unknown" };
}

function toStdout(line: string): void {
  process.stdout.write(line);
}

/** 0 means as many as the machine has processors; more decoders than that only cost memory. */
function decoders(configured: number): number {
  const processors = availableParallelism();
  return configured === 0 ? processors : Math.min(configured, processors);
}

function forget(tokens: TokenCache, payload: string): void {
  const what = JSON.parse(payload) as { tokenHash?: string; userId?: string };
  if (what.tokenHash !== undefined) tokens.revokeToken(what.tokenHash);
  if (what.userId !== undefined) tokens.revokeUser(what.userId);
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= work();
    return done;
  };
}

/** Asks again only when the last good answer is older than `ttlMs` milliseconds. */
function remembered<T>(clock: Clock, ttlMs: number, ask: () => Promise<T>): () => Promise<T> {
  let last: { at: number; answer: Promise<T> } | undefined;
  return () => {
    if (last && clock() - last.at <= ttlMs) return last.answer;
    const asked = { at: clock(), answer: ask() };
    last = asked;
    asked.answer.catch(() => {
      if (last === asked) last = undefined;
    });
    return asked.answer;
  };
}

/** The parts that follow a changed configuration at once. */
function makeLive(config: Config, parts: TenantParts) {
  const { trustAnyForwardedAddress, useForwardedHost, trustedProxies } = config.repo;
  const trusted = makeAddressGuard({ allowedNetworks: trustedProxies, disallowedNetworks: [] });
  return {
    config,
    tenants: makeTenants(config, parts),
    admins: new Set(config.admins),
    sharedSecret: config.sharedSecretAuth.enabled ? config.sharedSecretAuth.token : undefined,
    serverNames: [...config.domains.keys()],
    serviceTokens: [...config.domains.values()].flatMap(({ accessTokens }) =>
      accessTokens.appservices.map((service) => service.asToken),
    ),
    trusted: {
      address: (peer: string) => trustAnyForwardedAddress || trusted(peer),
      host: (peer: string) => useForwardedHost && trusted(peer),
    },
  };
}

/** Sections of which nothing changes while we run. */
const FIXED = ["database", "edge", "redis", "metrics", "federation"] as const;

function needsRestart(before: Config, after: Config): string[] {
  const listening = ({ repo }: Config) => JSON.stringify([repo.bindAddress, repo.port, repo.logLevel, repo.jsonLogs]);
  const fixed = FIXED.filter((section) => JSON.stringify(before[section]) !== JSON.stringify(after[section]));
  return listening(before) === listening(after) ? fixed : ["repo", ...fixed];
}
