/** Run by `limits_test.ts` as a process of its own: prints how many of so many requests of a user pass. */
import { Limits } from "../../../origin/access/limits/limits.ts";
import { steadyClock, systemClock } from "../../../origin/platform/clock.ts";
import { silentLog } from "../../../origin/platform/log.ts";
import { makeMetrics } from "../../../origin/platform/metrics.ts";
import { openCache } from "../../../origin/stores/cache/open_cache.ts";
import { LONG_PATIENCE } from "../../support/redis.ts";

const [addr = "", userId = "", times = "0"] = process.argv.slice(2);
const bytes = { capacityBytes: 0, drainBytesPerMinute: 0, overflowLimitBytes: 0 };
const settings = {
  enabled: true,
  requestsPerSecond: 0.001,
  burst: 10,
  overall: { requestsPerSecond: 200, burst: 1000 },
  buckets: { downloads: bytes, remoteFetches: bytes },
};
const redis = { shards: [{ name: "one", addr }], databaseNumber: 0 };
const cache = await openCache({ redis, patience: LONG_PATIENCE, clock: steadyClock, log: silentLog });
const metrics = makeMetrics({ ofProcess: false });
const limits = new Limits({
  settings: () => settings,
  buckets: cache.buckets,
  clock: systemClock,
  steady: steadyClock,
  log: silentLog,
  metrics,
});
let passed = 0;
for (let turn = 0; turn < Number(times); turn += 1) {
  await limits.checkRequest({ kind: "user", name: `user ${userId}`, exempt: false }, "/path").then(
    () => {
      passed += 1;
    },
    () => undefined,
  );
}
await cache.close();
process.stdout.write(`${passed}\n`);
