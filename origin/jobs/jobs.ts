import type { Logouts } from "../access/tokens/logouts.ts";
import type { LiveConfig } from "../config/files/live_config.ts";
import type { AccessLog } from "../media/download/access_log.ts";
import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Publishing } from "../publish/publishing.ts";
import type { Database } from "../stores/db/database.ts";
import { deleteLeases } from "../stores/db/tables/leases.ts";
import type { Datastores } from "../stores/objects/datastores.ts";
import { makeCleanStaging } from "./clean_staging.ts";
import { makeExpirePending } from "./expire_pending.ts";
import { makeExpireThumbnails } from "./expire_thumbnails.ts";
import { makeReap } from "./reap.ts";
import { makeRemoveUnfinished } from "./remove_unfinished.ts";
import { type Job, type Schedule, startSchedule } from "./schedule.ts";
import { makeSweepEdge } from "./sweep_edge.ts";
import { makeSweepServerKeys } from "./sweep_server_keys.ts";

/** What runs without a request: every job, how often, and what it may leave alone. */

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

const LOOK_EVERY_MS = 15 * SECOND_MS;
const OUTBOX_AGE_MS = 5 * SECOND_MS;
const GRACE_MS = HOUR_MS;
const DEAD_LEASE_MS = HOUR_MS;
const ORPHAN_AGE_MS = 24 * HOUR_MS;
const PENDING_GRACE_MS = 24 * HOUR_MS;

/** What the jobs work on. */
export interface JobsWorld {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly datastores: Datastores;
  /** For temporary files, where a datastore's own folder cannot be written. */
  readonly scratchFolder: string;
  /** Absent where there is no edge. */
  readonly edge: Publishing | undefined;
  readonly live: LiveConfig;
  readonly accessLog: AccessLog;
  readonly logouts: Logouts;
}

/** What a test may set, in milliseconds. */
export interface JobsOptions {
  /** How long a body that nothing points at is kept. */
  readonly graceMs?: number | undefined;
  /** Temporary files, unfinished uploads and copies at the edge younger than this are left alone. */
  readonly orphanAgeMs?: number | undefined;
}

/** Starts every job of the origin. Each may run in several processes at once. */
export function startJobs(world: JobsWorld, options: JobsOptions = {}): Schedule {
  return startSchedule(listJobs(world, options), world.log);
}

function listJobs(world: JobsWorld, options: JobsOptions): Job[] {
  const { clock, log, db, edge, live, accessLog, logouts } = world;
  const datastores = () => world.datastores.values();
  const stagingFolders = () => [...datastores().map((store) => store.stagingFolder), world.scratchFolder];
  const minAgeMs = options.orphanAgeMs ?? ORPHAN_AGE_MS;
  const jobs: Job[] = [
    {
      name: "reap",
      everyMs: MINUTE_MS,
      run: makeReap({
        ...{ db, clock, log, datastores: (id) => world.datastores.find(id), bucket: edge?.bucket },
        graceMs: options.graceMs ?? GRACE_MS,
      }),
    },
    { name: "logouts", everyMs: 2 * SECOND_MS, run: (signal) => logouts.sweep(signal) },
    { name: "last_access", everyMs: MINUTE_MS, run: () => accessLog.flush() },
    {
      name: "expire_pending",
      everyMs: 10 * MINUTE_MS,
      run: makeExpirePending({ db, clock, graceMs: PENDING_GRACE_MS }),
    },
    {
      name: "clean_staging",
      everyMs: HOUR_MS,
      run: makeCleanStaging({ clock, folders: stagingFolders, minAgeMs }),
    },
    {
      name: "delete_leases",
      everyMs: HOUR_MS,
      run: () => deleteLeases(db, clock() - DEAD_LEASE_MS),
    },
    {
      name: "expire_thumbnails",
      everyMs: HOUR_MS,
      run: makeExpireThumbnails({
        ...{ db, clock, hasEdge: edge !== undefined },
        days: () => live.now.thumbnails.expireAfterDays,
      }),
    },
    { name: "watch_datastores", everyMs: LOOK_EVERY_MS, run: () => world.datastores.look(LOOK_EVERY_MS) },
    {
      name: "remove_unfinished",
      everyMs: 6 * HOUR_MS,
      run: makeRemoveUnfinished({
        ...{ clock, log, minAgeMs },
        stores: () => [...datastores(), ...(edge ? [{ id: "edge bucket", ...edge.bucket }] : [])],
      }),
    },
  ];
  return edge ? [...jobs, ...listEdgeJobs(world, edge, minAgeMs)] : jobs;
}

function listEdgeJobs({ db, clock }: JobsWorld, { bucket, outbox }: Publishing, minAgeMs: number): Job[] {
  return [
    { name: "outbox", everyMs: 2 * SECOND_MS, run: (signal) => outbox.sweep(OUTBOX_AGE_MS, signal) },
    { name: "sweep_edge", everyMs: HOUR_MS, run: makeSweepEdge({ db, clock, bucket, minAgeMs }) },
    { name: "sweep_server_keys", everyMs: 6 * HOUR_MS, run: makeSweepServerKeys({ clock, bucket, minAgeMs }) },
  ];
}
