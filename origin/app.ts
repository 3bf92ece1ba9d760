import type { FastifyInstance } from "fastify";
import { makeAccess } from "./app_access.ts";
import { type Base, type Closers, type Overrides, openBase } from "./app_base.ts";
import { openEdge } from "./app_edge.ts";
import { makeFederation } from "./app_federation.ts";
import { listJobs } from "./app_jobs.ts";
import { type Live, makeLive, needsRestart } from "./app_live.ts";
import { makeMediaWork } from "./app_media.ts";
import { listRoutes } from "./app_routes.ts";
import type { Config } from "./config/schema.ts";
import { startMetricsServer } from "./http/metrics_server.ts";
import { makeServer, type Route } from "./http/server.ts";
import { type Schedule, startSchedule } from "./jobs/schedule.ts";
import { makeLimits } from "./pipelines/limits/limits.ts";
import { randomRequestId } from "./platform/ids.ts";
import type { Metrics } from "./platform/metrics.ts";
import type { Database } from "./stores/db/database.ts";

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

/**
 * Builds a whole origin from its configuration: opens what keeps the data, constructs the parts from the bottom up, each
 * with just what it needs, and hands back how to close them in reverse order.
 *
 * Errors: whatever keeps it from starting, with everything that was opened closed again.
 */
export async function buildApp(config: Config, overrides: Overrides = {}): Promise<App> {
  const closers: Closers = [];
  const close = once(async () => {
    for (const one of closers.reverse()) await one();
  });
  try {
    return { ...(await construct(await openBase(config, overrides, closers))), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** From the bottom up: each `app_*.ts` makes one part of the house. */
async function construct(base: Base): Promise<Omit<App, "close">> {
  const { config, closers, clock, log, metrics, db, cache } = base;
  const edge = openEdge(base);
  const live = await makeLive(base);
  const limits = makeLimits({
    settings: () => live.now.config.rateLimit,
    ...{ buckets: cache.buckets, clock, log, metrics },
  });
  const access = await makeAccess(base, edge, live, limits);
  const federation = makeFederation(base);
  const media = await makeMediaWork(base, { edge, live, limits, federation });

  const server = serve(base, live, await listRoutes(base, { live, limits, access, media, federation, edge }));
  closers.push(() => server.close());
  // Before the server, which waits for its answers: nobody is left waiting for an upload.
  closers.push(() => media.close());
  const jobs = startSchedule(listJobs(base, { edge, live, accessLog: media.accessLog }), log);
  closers.push(() => jobs.close());

  return {
    ...{ server, metrics, db, jobs },
    async reconfigure(changed) {
      await live.change(changed);
      await access.afterChange();
      const restart = needsRestart(config, changed);
      if (restart.length > 0) log.warn({ sections: restart }, "these changes hold after a restart");
    },
    async listen() {
      const page = config.metrics.enabled ? await startMetricsServer(metrics, config.metrics) : undefined;
      if (page) closers.push(() => page.close());
      return { address: await server.listen({ host: config.repo.bindAddress, port: config.repo.port }) };
    },
  };
}

function serve({ config, clock, log, metrics }: Base, live: Live, routes: readonly Route[]): FastifyInstance {
  return makeServer(
    {
      ...{ log, clock, metrics },
      makeRequestId: randomRequestId,
      hopSecret: config.edge.enabled ? config.edge.hopSecret : undefined,
      trusted: {
        address: (peer) => live.now.trusted.address(peer),
        host: (peer) => live.now.trusted.host(peer),
      },
    },
    routes,
  );
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= work();
    return done;
  };
}
