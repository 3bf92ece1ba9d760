import type { Logouts } from "./access/tokens/logouts.ts";
import type { Base } from "./app_base.ts";
import type { LiveConfig } from "./config/files/live_config.ts";
import { makeCleanStaging } from "./jobs/clean_staging.ts";
import { makeExpirePending } from "./jobs/expire_pending.ts";
import { makeExpireThumbnails } from "./jobs/expire_thumbnails.ts";
import { makeReap } from "./jobs/reap.ts";
import { makeRemoveUnfinished } from "./jobs/remove_unfinished.ts";
import type { Job } from "./jobs/schedule.ts";
import { makeSweepEdge } from "./jobs/sweep_edge.ts";
import { makeSweepServerKeys } from "./jobs/sweep_server_keys.ts";
import type { AccessLog } from "./media/download/access_log.ts";
import type { Publishing } from "./publish/publishing.ts";
import { deleteLeases } from "./stores/db/tables/leases.ts";

/** The part of `app.ts` that says what runs by the clock. */

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

const LOOK_EVERY_MS = 15 * SECOND_MS;
const OUTBOX_AGE_MS = 5 * SECOND_MS;
const GRACE_MS = HOUR_MS;
const DEAD_LEASE_MS = HOUR_MS;
const ORPHAN_AGE_MS = 24 * HOUR_MS;
const PENDING_GRACE_MS = 24 * HOUR_MS;

/** What the jobs need beside the base. */
export interface JobParts {
  readonly edge: Publishing | undefined;
  readonly live: LiveConfig;
  readonly accessLog: AccessLog;
  readonly logouts: Logouts;
}

/** Every job of the origin. Each may run in several processes at once. */
export function listJobs(base: Base, parts: JobParts): Job[] {
  const { clock, log, db, overrides, findDatastore } = base;
  const { edge, live, accessLog, logouts } = parts;
  const datastores = () => base.datastores.values();
  const stagingFolders = () => [...datastores().map((store) => store.stagingFolder), base.scratchFolder];
  const minAgeMs = overrides.orphanAgeMs ?? ORPHAN_AGE_MS;
  const jobs: Job[] = [
    {
      name: "reap",
      everyMs: MINUTE_MS,
      run: makeReap({
        ...{ db, clock, log, datastores: findDatastore, bucket: edge?.bucket },
        graceMs: overrides.graceMs ?? GRACE_MS,
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
    { name: "watch_datastores", everyMs: LOOK_EVERY_MS, run: () => base.datastores.look(LOOK_EVERY_MS) },
    {
      name: "remove_unfinished",
      everyMs: 6 * HOUR_MS,
      run: makeRemoveUnfinished({
        ...{ clock, log, minAgeMs },
        stores: () => [...datastores(), ...(edge ? [{ id: "edge bucket", ...edge.bucket }] : [])],
      }),
    },
  ];
  return edge ? [...jobs, ...listEdgeJobs(base, edge, minAgeMs)] : jobs;
}

function listEdgeJobs({ db, clock }: Base, { bucket, outbox }: Publishing, minAgeMs: number): Job[] {
  return [
    { name: "outbox", everyMs: 2 * SECOND_MS, run: (signal) => outbox.sweep(OUTBOX_AGE_MS, signal) },
    { name: "sweep_edge", everyMs: HOUR_MS, run: makeSweepEdge({ db, clock, bucket, minAgeMs }) },
    { name: "sweep_server_keys", everyMs: 6 * HOUR_MS, run: makeSweepServerKeys({ clock, bucket, minAgeMs }) },
  ];
}
