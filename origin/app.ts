import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Access, CONNECTIONS_PER_HOMESERVER } from "./access/access.ts";
import { restartKeys } from "./config/checks/restart_keys.ts";
import { LiveConfig } from "./config/files/live_config.ts";
import { datastoresOf } from "./config/files/place.ts";
import type { Config } from "./config/schema.ts";
import { Domains } from "./domains/domains.ts";
import { Server } from "./http/server.ts";
import { Imager } from "./imaging/imager.ts";
import { type JobsOptions, startJobs } from "./jobs/jobs.ts";
import type { Schedule } from "./jobs/schedule.ts";
import { Federation } from "./matrix/federation/federation.ts";
import { ServerKeys } from "./matrix/keys/server_keys.ts";
import { OwnQuestions } from "./matrix/own_questions.ts";
import { type MediaOptions, openMedia } from "./media/media.ts";
import { Net } from "./net/net.ts";
import { type Clock, type SteadyClock, steadyClock, systemClock } from "./platform/clock.ts";
import { type MakeId, randomMediaId, randomRequestId } from "./platform/ids.ts";
import { Closing, needing } from "./platform/lifetime.ts";
import { type Log, makeLog } from "./platform/log.ts";
import { type Metrics, makeMetrics, startMetricsServer } from "./platform/metrics.ts";
import { sleep } from "./platform/time.ts";
import { Publishing } from "./publish/publishing.ts";
import { openCache } from "./stores/cache/open_cache.ts";
import type { RedisPatience } from "./stores/cache/redis.ts";
import { Bus } from "./stores/db/bus.ts";
import type { Database } from "./stores/db/database.ts";
import { openDatabase } from "./stores/db/open_database.ts";
import { deploymentKey } from "./stores/db/tables/deployment_key.ts";
import { nextGeneration } from "./stores/db/tables/generations.ts";
import { Datastores } from "./stores/objects/datastores.ts";

/** How long the body of a request may stand still. */
const BODY_IDLE_MS = 30_000;
/** Datastores that cannot be asked do not keep us from starting. */
const LOOK_MS = 3_000;
/** Background work under way gets so long to end, in milliseconds. */
const DRAIN_MS = 10_000;

/** What a test, or the command that starts both tiers, may put in place of the origin's own. Times in milliseconds. */
export interface Overrides extends MediaOptions, JobsOptions {
  readonly clock?: Clock;
  readonly steady?: SteadyClock;
  readonly log?: Log;
  readonly makeMediaId?: MakeId;
  /** How long a body of a request may stand still. */
  readonly bodyIdleMs?: number;
  /** For temporary files, where a datastore's own folder cannot be written. */
  readonly scratchFolder?: string;
  /** How many thumbnails may wait to be made. */
  readonly thumbnailQueue?: number;
  /** How long Redis is waited for. */
  readonly redisPatience?: RedisPatience;
  /** This is one of several processes of an origin; the one above them serves the metrics of all. */
  readonly isWorker?: boolean;
  /** Certificates to trust instead of the built-in ones, in connections to other servers (PEM). */
  readonly outboundCa?: string;
}

/** A whole origin. */
export interface App {
  readonly server: Server;
  readonly metrics: Metrics;
  readonly db: Database;
  readonly jobs: Schedule;
  /**
   * Lets a changed configuration hold, as far as it can while we run; says in the log which keys need a restart, and resolves
   * with them. Throws where it cannot, or where not everybody could be told yet: to be tried again.
   */
  reconfigure(config: Config): Promise<readonly string[]>;
  /** What an operator should know of now: a line each. */
  notices(): string[];
  /** Logs an error that nobody has foreseen, with the request that it comes of where that is known, and counts it. */
  unexpected(error: unknown): void;
  /** Starts answering at the configured address. */
  listen(): Promise<{ address: string }>;
  /** Takes no more requests, gives those under way ten seconds to end, and closes everything in reverse order. */
  close(): Promise<void>;
}

/** Builds a whole origin. Errors: whatever keeps it from starting, with everything that was opened closed again. */
export async function buildApp(config: Config, overrides: Overrides = {}): Promise<App> {
  const closing = new Closing();
  try {
    return await open(config, overrides, closing);
  } catch (error) {
    await closing.close().catch(() => undefined);
    throw error;
  }
}

/** Opens one door after the other, from the bottom up; what is open is closed in reverse. */
async function open(config: Config, overrides: Overrides, closing: Closing): Promise<App> {
  const { clock = systemClock, steady = steadyClock, makeMediaId = randomMediaId } = overrides;
  const makeTemporaryId = () => randomBytes(12).toString("hex");
  const scratchFolder = overrides.scratchFolder ?? join(tmpdir(), "mxcdn-staging");
  const log = overrides.log ?? makeLog({ level: config.repo.logLevel, json: config.repo.jsonLogs, write: toStdout });
  const metrics = makeMetrics({ ofProcess: config.metrics.enabled, ofWorker: overrides.isWorker === true });
  const time = { clock, steady };
  const live = new LiveConfig(config);

  const db = await openDatabase(config.database, log);
  closing.push(() => db.close());
  const bus = new Bus({ db, log, metrics });
  const datastores = new Datastores(datastoresOf(config), { db, log, metrics, steady });
  closing.push(() => datastores.close());
  await datastores.look(LOOK_MS);
  const redis = config.redis.enabled ? config.redis : undefined;
  const cache = await openCache({ redis, patience: overrides.redisPatience, clock: steady, log });
  closing.push(() => cache.close());

  const { federation: networks } = config;
  const net = new Net({ networks, homeserverConnections: CONNECTIONS_PER_HOMESERVER, ca: overrides.outboundCa });
  closing.push(() => net.close());
  const { numWorkers: processes, maxPixels } = config.thumbnails;
  const queueLength = overrides.thumbnailQueue;
  const imager = new Imager({ processes, maxPixels, queueLength, clock: steady, log, metrics });
  closing.push(() => imager.close());

  const edge = config.edge.enabled
    ? new Publishing(config.edge.bucket, { ...time, db, log, metrics, datastores, makeId: makeTemporaryId })
    : undefined;
  if (edge) closing.push(() => edge.close());
  const { backoffAt, notaries } = config.federation;
  const { fetch: safeFetch, srv } = net;
  const federation = new Federation({ safeFetch, srv, clock: steady, random: Math.random, backoffAt });
  const serverKeys = new ServerKeys({
    ...{ federation, clock, steady, notaries, hints: cache.hints },
    drawGeneration: () => nextGeneration(db),
    onWithdrawn: edge?.withdrawKeys,
  });
  const { buckets } = cache;
  const access = await Access.open({ db, bus, buckets, serverKeys, edge, ...time, log, metrics }, config);
  closing.push(() => access.close());
  const ownQuestions = new OwnQuestions({ key: await deploymentKey(db), clock: steady, log });
  const domains = await Domains.open(config, { ...time, ownQuestions, datastores, safeFetch: net.homeserverFetch });
  // While we start, the edge may not be there yet: the job tells it.
  await access.follow(config, domains.all(), { deliver: false });
  const world = { config, live, db, bus, ...time, log, metrics, datastores, edge, scratchFolder };
  const ids = { makeMediaId, makeTemporaryId };
  const media = await openMedia(
    { ...world, access, domains, imager, federation, safeFetch, ...ids },
    closing,
    overrides,
  );

  const server = new Server({
    ...{ log, ...time, metrics, db, datastores, access, domains, media, federation, serverKeys },
    ...{ publishKey: edge?.publishKey, downloadCache: config.downloads.cache, makeRequestId: randomRequestId, ...ids },
    bodyIdleMs: overrides.bodyIdleMs ?? BODY_IDLE_MS,
    hopSecret: config.edge.enabled ? config.edge.hopSecret : undefined,
    proxies: config.repo,
    requireForeign: (header) => ownQuestions.requireForeign(header),
  });
  const { accessLog } = media;
  const jobs = startJobs({ ...world, accessLog, logouts: access.logouts }, overrides);

  const end = async () => {
    const work = [jobs.close(), media.letGo()].map((ending) => Promise.race([ending, sleep(DRAIN_MS)]));
    await Promise.allSettled([server.close(), ...work]);
    await closing.close();
  };
  let ended: Promise<void> | undefined;

  return {
    ...{ server, metrics, db, jobs },
    close() {
      ended ??= end();
      return ended;
    },
    unexpected(error) {
      metrics.unexpectedError();
      const doing = server.currentRequest();
      log.error({ ...doing, error }, "unexpected error: the process takes no more requests, and ends");
    },
    async reconfigure(changed) {
      await domains.change(changed);
      live.change(changed);
      server.follow(changed.repo);
      await access.follow(changed, domains.all(), { deliver: true });
      const moved = datastores.elsewhere(datastoresOf(changed)).map((id) => `datastores.${id}.opts`);
      const keys = [...restartKeys(config, changed), ...moved];
      if (keys.length > 0) log.warn({ keys }, "these changes hold after a restart");
      return keys;
    },
    notices: () => datastores.missing().map((id) => `the datastore "${id}" is not there: uploads to it are refused`),
    async listen() {
      const { bindAddress: host, port } = config.repo;
      const { bindAddress: pageHost, port: pagePort, enabled } = config.metrics;
      if (enabled && !overrides.isWorker) {
        const start = () => startMetricsServer(metrics.page, config.metrics);
        const page = await needing("metrics_port", `${pageHost}:${pagePort}`, start);
        closing.push(() => page.close());
      }
      return { address: await needing("origin_port", `${host}:${port}`, () => server.listen({ host, port })) };
    },
  };
}

function toStdout(line: string): void {
  process.stdout.write(line);
}
