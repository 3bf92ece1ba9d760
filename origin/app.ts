import { Access } from "./access/access.ts";
import { type Base, type Overrides, openBase } from "./app_base.ts";
import { listJobs } from "./app_jobs.ts";
import { makeMediaWork } from "./app_media.ts";
import { restartKeys } from "./config/checks/restart_keys.ts";
import { LiveConfig } from "./config/files/live_config.ts";
import { datastoresOf } from "./config/files/place.ts";
import type { Config } from "./config/schema.ts";
import { Domains } from "./domains/domains.ts";
import { Server } from "./http/server.ts";
import { type Schedule, startSchedule } from "./jobs/schedule.ts";
import { Federation } from "./matrix/federation/federation.ts";
import { ServerKeys } from "./matrix/keys/server_keys.ts";
import { randomRequestId } from "./platform/ids.ts";
import { Closing, needing } from "./platform/lifetime.ts";
import { type Metrics, type MetricsServer, startMetricsServer } from "./platform/metrics.ts";
import { sleep } from "./platform/time.ts";
import { Publishing } from "./publish/publishing.ts";
import type { Database } from "./stores/db/database.ts";
import { nextGeneration } from "./stores/db/tables/generations.ts";

/** How long the body of a request may stand still. */
const BODY_IDLE_MS = 30_000;
/** Background work under way gets so long to end, in milliseconds. */
const DRAIN_MS = 10_000;

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

/**
 * Builds a whole origin from its configuration: opens what keeps the data, constructs the parts from the bottom up, each
 * with just what it needs, and hands back how to close them in reverse order.
 *
 * Errors: whatever keeps it from starting, with everything that was opened closed again.
 */
export async function buildApp(config: Config, overrides: Overrides = {}): Promise<App> {
  const closing = new Closing();
  try {
    return await construct(await openBase(config, overrides, closing));
  } catch (error) {
    await closing.close().catch(() => undefined);
    throw error;
  }
}

/** From the bottom up: each `app_*.ts` makes one part of the house. */
async function construct(base: Base): Promise<App> {
  const { config, closers, clock, steady, log, metrics, db, bus, cache, net, datastores, ownQuestions } = base;
  const edge = config.edge.enabled
    ? new Publishing(config.edge.bucket, { db, clock, steady, log, metrics, datastores, makeId: base.makeTemporaryId })
    : undefined;
  if (edge) closers.push(() => edge.close());
  const { backoffAt, notaries } = config.federation;
  const federation = new Federation({
    safeFetch: net.fetch,
    srv: net.srv,
    clock: steady,
    random: Math.random,
    backoffAt,
  });
  const serverKeys = new ServerKeys({
    ...{ federation, clock, steady, notaries, hints: cache.hints },
    drawGeneration: () => nextGeneration(db),
    onWithdrawn: edge?.withdrawKeys,
  });
  const access = await Access.open(
    { ...{ db, bus, serverKeys, edge, clock, steady, log, metrics }, buckets: cache.buckets },
    config,
  );
  closers.push(() => access.close());
  const domains = await Domains.open(config, {
    ...{ clock, steady, ownQuestions, datastores, safeFetch: net.homeserverFetch },
  });
  // While we start, the edge may not be there yet: the job tells it.
  await access.follow(config, domains.all(), { deliver: false });
  const live = new LiveConfig(config);
  const media = await makeMediaWork(base, { edge, live, domains, access, federation });

  const server = new Server({
    ...{ log, clock, steady, metrics, db, access, domains, media, federation, serverKeys },
    ...{ datastores: datastores, publishKey: edge?.publishKey, downloadCache: config.downloads.cache },
    ...{ makeRequestId: randomRequestId, makeMediaId: base.makeMediaId, makeTemporaryId: base.makeTemporaryId },
    bodyIdleMs: base.overrides.bodyIdleMs ?? BODY_IDLE_MS,
    hopSecret: config.edge.enabled ? config.edge.hopSecret : undefined,
    proxies: config.repo,
    requireForeign: (header) => ownQuestions.requireForeign(header),
  });
  const jobs = startSchedule(listJobs(base, { edge, live, accessLog: media.accessLog, logouts: access.logouts }), log);

  const close = once(async () => {
    await Promise.allSettled([
      server.close(),
      Promise.race([jobs.close(), sleep(DRAIN_MS)]),
      Promise.race([media.letGo(), sleep(DRAIN_MS)]),
    ]);
    await closers.close();
  });

  return {
    ...{ server, metrics, db, jobs },
    unexpected(error) {
      metrics.unexpectedError();
      log.error(
        { ...server.currentRequest(), error },
        "unexpected error: the process takes no more requests, and ends",
      );
    },
    close,
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
    notices: () =>
      base.datastores.missing().map((id) => `the datastore "${id}" is not there: uploads to it are refused`),
    async listen() {
      const { bindAddress: host, port } = config.repo;
      const hasPage = config.metrics.enabled && !base.overrides.isWorker;
      const page = hasPage ? await servePage(metrics, config) : undefined;
      if (page) closers.push(() => page.close());
      return { address: await needing("origin_port", `${host}:${port}`, () => server.listen({ host, port })) };
    },
  };
}

function servePage(metrics: Metrics, { metrics: listen }: Config): Promise<MetricsServer> {
  const place = `${listen.bindAddress}:${listen.port}`;
  return needing("metrics_port", place, () => startMetricsServer(metrics.page, listen));
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= work();
    return done;
  };
}
