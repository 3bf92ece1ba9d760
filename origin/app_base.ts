import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CONNECTIONS_PER_HOMESERVER } from "./access/access.ts";
import { datastoresOf } from "./config/files/place.ts";
import type { Config } from "./config/schema.ts";
import { Imager } from "./imaging/imager.ts";
import { OwnQuestions } from "./matrix/own_questions.ts";
import { Net } from "./net/net.ts";
import type { SafeFetch } from "./net/safe_fetch.ts";
import { type Clock, type SteadyClock, steadyClock, systemClock } from "./platform/clock.ts";
import { type MakeId, randomMediaId } from "./platform/ids.ts";
import type { Closing } from "./platform/lifetime.ts";
import { type Log, makeLog } from "./platform/log.ts";
import { type Metrics, makeMetrics } from "./platform/metrics.ts";
import { type Cache, openCache } from "./stores/cache/open_cache.ts";
import type { RedisPatience } from "./stores/cache/redis.ts";
import { Bus } from "./stores/db/bus.ts";
import type { Database } from "./stores/db/database.ts";
import { openDatabase } from "./stores/db/open_database.ts";
import { deploymentKey } from "./stores/db/tables/deployment_key.ts";
import type { FindDatastore } from "./stores/objects/datastore.ts";
import { Datastores } from "./stores/objects/datastores.ts";

/** The part of `app.ts` that opens what everything else stands on. */

/** What a test, or the command that starts both tiers, may put in place of the origin's own. Times in milliseconds. */
export interface Overrides {
  readonly clock?: Clock;
  readonly steady?: SteadyClock;
  readonly log?: Log;
  readonly makeMediaId?: MakeId;
  /** How long a body that nothing points at is kept. */
  readonly graceMs?: number;
  /** How long a body of a request may stand still. */
  readonly bodyIdleMs?: number;
  /** Temporary files, unfinished uploads and copies at the edge younger than this are left alone. */
  readonly orphanAgeMs?: number;
  /** How many requests may wait for asynchronous uploads. */
  readonly maxWaiting?: number;
  /** For temporary files, where a datastore's own folder cannot be written. */
  readonly scratchFolder?: string;
  /** How many thumbnails may wait to be made. */
  readonly thumbnailQueue?: number;
  /** How often an asynchronous upload, or a fetch by another process, that is waited for is looked for, beside being notified of it. */
  readonly recheckMs?: number;
  /** How long Redis is waited for. */
  readonly redisPatience?: RedisPatience;
  /** This is one of several processes of an origin; the one above them serves the metrics of all. */
  readonly isWorker?: boolean;
  /** Certificates to trust instead of the built-in ones, in connections to other servers (PEM). */
  readonly outboundCa?: string;
}

/** What most parts need some of. */
export interface Base {
  /** As it was at the start; what may change while we run is in `Live`. */
  readonly config: Config;
  readonly overrides: Overrides;
  readonly closers: Closing;
  readonly clock: Clock;
  readonly steady: SteadyClock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly makeMediaId: MakeId;
  readonly makeTemporaryId: MakeId;
  readonly db: Database;
  readonly bus: Bus;
  /** They follow the configuration as it changes. */
  readonly datastores: Datastores;
  readonly findDatastore: FindDatastore;
  /** For temporary files, where a datastore's own folder cannot be written. */
  readonly scratchFolder: string;
  readonly net: Net;
  readonly safeFetch: SafeFetch;
  /** The way to the homeservers of the configuration: nothing else takes its connections. */
  readonly homeserverFetch: SafeFetch;
  readonly imager: Imager;
  readonly cache: Cache;
  readonly ownQuestions: OwnQuestions;
}

/** Datastores that cannot be asked do not keep us from starting. */
const LOOK_MS = 3_000;

/** Opens the database, the datastores, the way out, the decoders and the cache; each is noted in `closers` once it is open. */
export async function openBase(config: Config, overrides: Overrides, closers: Closing): Promise<Base> {
  const clock = overrides.clock ?? systemClock;
  const steady = overrides.steady ?? steadyClock;
  const log = overrides.log ?? makeLog({ level: config.repo.logLevel, json: config.repo.jsonLogs, write: toStdout });

  const db = await openDatabase(config.database, log);
  closers.push(() => db.close());
  const metrics = makeMetrics({ ofProcess: config.metrics.enabled, ofWorker: overrides.isWorker === true });
  const datastores = new Datastores(datastoresOf(config), { db, log, metrics, steady });
  closers.push(() => datastores.close());
  await datastores.look(LOOK_MS);

  const net = new Net({
    networks: config.federation,
    homeserverConnections: CONNECTIONS_PER_HOMESERVER,
    ca: overrides.outboundCa,
  });
  closers.push(() => net.close());

  const imager = new Imager({
    processes: config.thumbnails.numWorkers,
    queueLength: overrides.thumbnailQueue,
    maxPixels: config.thumbnails.maxPixels,
    ...{ clock: steady, log, metrics },
  });
  closers.push(() => imager.close());

  const redis = config.redis.enabled ? config.redis : undefined;
  const cache = await openCache({ redis, patience: overrides.redisPatience, clock: steady, log });
  closers.push(() => cache.close());

  return {
    ...{ config, overrides, closers, clock, steady, log, metrics, db, datastores },
    bus: new Bus({ db, log, metrics }),
    ...{ net, imager, cache },
    safeFetch: net.fetch,
    homeserverFetch: net.homeserverFetch,
    ownQuestions: new OwnQuestions({ key: await deploymentKey(db), clock: steady, log }),
    scratchFolder: overrides.scratchFolder ?? join(tmpdir(), "mxcdn-staging"),
    makeMediaId: overrides.makeMediaId ?? randomMediaId,
    makeTemporaryId: () => randomBytes(12).toString("hex"),
    findDatastore: (id) => datastores.find(id),
  };
}

function toStdout(line: string): void {
  process.stdout.write(line);
}
