import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Counted, countAddress, countServer } from "../../../origin/access/limits/counted.ts";
import { Limits } from "../../../origin/access/limits/limits.ts";
import type { RateLimits } from "../../../origin/access/limits/rate_limits.ts";
import { steadyClock, systemClock } from "../../../origin/platform/clock.ts";
import { silentLog } from "../../../origin/platform/log.ts";
import { makeMetrics } from "../../../origin/platform/metrics.ts";
import { makeMemoryBuckets } from "../../../origin/stores/cache/memory_buckets.ts";
import { type Cache, openCache } from "../../../origin/stores/cache/open_cache.ts";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { LONG_PATIENCE, redisServerSkip, redisSkip, sharedRedis, startRedis, uniqueName } from "../../support/redis.ts";

const DEFAULTS: RateLimits = {
  enabled: true,
  requestsPerSecond: 5,
  burst: 10,
  overall: { requestsPerSecond: 200, burst: 1000 },
  buckets: {
    downloads: { capacityBytes: 524_288_000, drainBytesPerMinute: 5_242_880, overflowLimitBytes: 104_857_600 },
    remoteFetches: { capacityBytes: 1_000_000_000, drainBytesPerMinute: 60_000_000, overflowLimitBytes: 0 },
  },
};

describe("limits, by a clock of their own", () => {
  const start = (settings: Partial<RateLimits> = {}) => {
    const stage = { now: 1_700_000_000_000, logged: [] as object[], settings: { ...DEFAULTS, ...settings } };
    const clock = () => stage.now;
    const metrics = makeMetrics({ ofProcess: false });
    const log = { ...silentLog, warn: (fields: object) => void stage.logged.push(fields) };
    const buckets = makeMemoryBuckets({ clock });
    return {
      ...stage,
      stage,
      metrics,
      limits: new Limits({ settings: () => stage.settings, buckets, clock, steady: clock, log, metrics }),
    };
  };

  test("ten requests at once for one path, then five a second", async () => {
    const { limits, stage } = start();
    const ask = () => limits.checkRequest(user(), "/path");
    assert.equal(await passes(20, ask), 10);
    stage.now += 200;
    assert.equal(await passes(3, ask), 1);
    stage.now += 1000;
    assert.equal(await passes(20, ask), 5);
    stage.now += 60_000;
    assert.equal(await passes(20, ask), 10);
  });

  test("a refusal says which limit, whose, until when and how long to wait; so does the log, once a minute", async () => {
    const { limits, stage, metrics } = start({ requestsPerSecond: 0.5, burst: 1 });
    const alice = user("@alice:example.org");
    await limits.checkRequest(alice, "/path");
    stage.now += 500;
    const refused = await refusal(limits.checkRequest(alice, "/path"));
    assert.equal(refused.errcode, "M_LIMIT_EXCEEDED");
    assert.equal(refused.status, 429);
    assert.equal(refused.retryAfterMs, 1500);
    const body = refused.toBody();
    assert.equal(body.retry_after_ms, 1500);
    assert.equal(body.limit, "rateLimit.requestsPerSecond");
    assert.equal(body.limit_subject, "user @alice:example.org");
    assert.equal(body.limit_until, stage.now + 1500);
    assert.match(
      String(body.error),
      /rateLimit\.requestsPerSecond.*@alice:example\.org.*0\.5 requests a second.*1\.5 seconds/,
    );
    await refusal(limits.checkRequest(alice, "/path"));
    assert.equal(stage.logged.length, 1);
    assert.partialDeepStrictEqual(stage.logged[0], {
      limit: "rateLimit.requestsPerSecond",
      subject: "user @alice:example.org",
      retryAfterMs: 1500,
    });
    assert.match((await metrics.page()).body, /media_limits_reached_total\{limit="rateLimit.requestsPerSecond"\} 2/);
  });

  test("one who waits as long as it was told is served", async () => {
    const { limits, stage } = start({ requestsPerSecond: 3, burst: 7 });
    await passes(7, () => limits.checkRequest(user(), "/path"));
    for (let times = 0; times < 50; times += 1) {
      const { retryAfterMs } = await refusal(limits.checkRequest(user(), "/path"));
      stage.now += retryAfterMs ?? 0;
      await limits.checkRequest(user(), "/path");
    }
  });

  test("users, servers and addresses are counted each for itself, and each path for itself", async () => {
    const { limits } = start({ requestsPerSecond: 1, burst: 1 });
    const subjects: Counted[] = [
      user("@a:x"),
      user("@b:x"),
      countServer("a"),
      countAddress("192.0.2.1"),
      countAddress("2001:db8::1"),
      countAddress("2001:db8:0:1::1"),
    ];
    for (const who of subjects) {
      for (const path of ["/one", "/two"]) {
        await limits.checkRequest(who, path);
        await refusal(limits.checkRequest(who, path));
      }
    }
    await refusal(limits.checkRequest(countAddress("2001:db8::ffff"), "/one"));
    await refusal(limits.checkRequest(countServer("A"), "/one"));
  });

  test("whatever the path, there is an end to it: for a user, a server and an address", async () => {
    const { limits } = start({ overall: { requestsPerSecond: 1, burst: 30 } });
    let path = 0;
    for (const who of [user(), countServer("a")]) {
      assert.equal(await passes(50, () => limits.checkRequest(who, `/${path++}`)), 30);
      const { extra } = await refusal(limits.checkRequest(who, `/${path++}`));
      assert.equal(extra.limit, "rateLimit.overall.requestsPerSecond");
    }
    const anonymous = (address: string) => limits.checkRequest(countAddress(address), `/${path++}`);
    assert.equal(await passes(50, () => anonymous("192.0.2.1")), 30);
    assert.equal(await passes(50, () => anonymous("2001:db8::1")), 30);
    await refusal(anonymous("2001:db8::2"));
  });

  test("a refused request counts nowhere", async () => {
    const { limits } = start({ requestsPerSecond: 1, burst: 1, overall: { requestsPerSecond: 1, burst: 3 } });
    assert.equal(await passes(100, () => limits.checkRequest(user(), "/same")), 1);
    let path = 0;
    assert.equal(await passes(100, () => limits.checkRequest(user(), `/${path++}`)), 2);
  });

  test("an address answers for what has failed there, and can be asked beforehand whether one more may", async () => {
    const { limits, stage } = start({ overall: { requestsPerSecond: 1, burst: 5 } });
    for (let times = 0; times < 100; times += 1) await limits.checkFailures("192.0.2.1");
    assert.equal(await passes(20, () => limits.countFailure("192.0.2.1")), 5);
    const { extra, retryAfterMs } = await refusal(limits.checkFailures("192.0.2.1"));
    assert.deepEqual([extra.limit, extra.limit_subject], ["rateLimit.overall.requestsPerSecond", "address 192.0.2.1"]);
    await refusal(limits.checkRequest(countAddress("192.0.2.1"), "/path"));
    await limits.checkRequest(user(), "/path");
    stage.now += retryAfterMs ?? 0;
    await limits.checkFailures("192.0.2.1");
    assert.equal(await passes(20, () => limits.countFailure("192.0.2.1")), 1);
  });

  test("the exempt are not limited at all", async () => {
    const { limits } = start({ requestsPerSecond: 1, burst: 1 });
    const admin: Counted = { kind: "user", name: `user @admin:example.org`, exempt: true };
    assert.equal(await passes(5000, () => limits.checkRequest(admin, "/path")), 5000);
    for (let times = 0; times < 10; times += 1) await limits.chargeDownload(admin, 500_000_000);
  });

  test("a changed configuration holds at once, for buckets that are filled already, too", async () => {
    const { limits, stage } = start({ requestsPerSecond: 1, burst: 2 });
    await passes(2, () => limits.checkRequest(user(), "/path"));
    stage.settings = { ...stage.settings, burst: 5 };
    assert.equal(await passes(10, () => limits.checkRequest(user(), "/path")), 3);
    stage.settings = { ...stage.settings, enabled: false };
    assert.equal(await passes(100, () => limits.checkRequest(user(), "/path")), 100);
  });

  test("0 means no limit, for each", async () => {
    const none = { requestsPerSecond: 0, burst: 0 };
    const bytes = { capacityBytes: 0, drainBytesPerMinute: 0, overflowLimitBytes: 0 };
    const { limits } = start({ ...none, overall: none, buckets: { downloads: bytes, remoteFetches: bytes } });
    assert.equal(await passes(2000, () => limits.checkRequest(user(), "/path")), 2000);
    assert.equal(await passes(2000, () => limits.countFailure("192.0.2.1")), 2000);
    for (let times = 0; times < 5; times += 1) await limits.chargeFetch(user(), "example.org", 1e12);
  });

  test("bytes: up to the capacity and one overflow beyond, then what the drain forgives", async () => {
    const { limits, stage } = start(bytesOf({ capacityBytes: 1000, drainBytesPerMinute: 60, overflowLimitBytes: 500 }));
    const charge = (bytes: number) => limits.chargeDownload(user(), bytes);
    await charge(900);
    await refusal(charge(601));
    await charge(600);
    const refused = await refusal(charge(1));
    assert.equal(refused.extra.limit, "rateLimit.buckets.downloads");
    assert.equal(refused.retryAfterMs, 500_000, "1500 are in it, 1000 may be, one a second drains");
    stage.now += 499_000;
    await refusal(charge(1));
    stage.now += 1_000;
    await charge(1);
    await limits.chargeDownload(user("@other:example.org"), 900);
  });

  test("bytes: a file larger than the whole bucket can be had from an empty one", async () => {
    const { limits, stage } = start(
      bytesOf({ capacityBytes: 1000, drainBytesPerMinute: 6000, overflowLimitBytes: 500 }),
    );
    await limits.chargeDownload(user(), 10_000);
    const { retryAfterMs } = await refusal(limits.chargeDownload(user(), 10_000));
    stage.now += retryAfterMs ?? 0;
    await limits.chargeDownload(user(), 10_000);
  });

  test("bytes: what was not sent is given back, what was more is added, and only once", async () => {
    const { limits } = start(bytesOf({ capacityBytes: 1000, drainBytesPerMinute: 1, overflowLimitBytes: 0 }));
    const first = await limits.chargeDownload(user(), 1000);
    await refusal(limits.chargeDownload(user(), 10));
    await first.settle(100);
    await first.settle(0);
    const second = await limits.chargeDownload(user(), 900);
    await refusal(limits.chargeDownload(user(), 1));
    await second.settle(0);
    const third = await limits.chargeDownload(user(), 1);
    await third.settle(900);
    await refusal(limits.chargeDownload(user(), 1));
  });

  test("fetches: charged to who asks and to the homeserver, however many ask from however many addresses", async () => {
    const { limits } = start({
      buckets: {
        downloads: { capacityBytes: 500, drainBytesPerMinute: 1, overflowLimitBytes: 0 },
        remoteFetches: { capacityBytes: 3000, drainBytesPerMinute: 1, overflowLimitBytes: 0 },
      },
    });
    const fetch = (index: number) =>
      limits.chargeFetch(countAddress(`2001:db8:0:${index.toString(16)}::1`), "example.org", 500);
    let index = 0;
    assert.equal(
      await passes(1000, () => fetch(index++)),
      6,
      "a thousand networks are held to what one homeserver may fetch",
    );
    const { extra } = await refusal(fetch(9999));
    assert.equal(extra.limit, "rateLimit.buckets.remoteFetches");
    assert.equal(extra.limit_subject, "homeserver example.org");
    await limits.chargeFetch(user(), "other.org", 500);
  });

  test("fetches: one that is refused to who asks costs the homeserver nothing, one that fails costs nobody", async () => {
    const { limits } = start({
      buckets: {
        downloads: { capacityBytes: 500, drainBytesPerMinute: 1, overflowLimitBytes: 0 },
        remoteFetches: { capacityBytes: 1000, drainBytesPerMinute: 1, overflowLimitBytes: 0 },
      },
    });
    const failed = await limits.chargeFetch(user(), "example.org", 500);
    await failed.settle(0);
    await limits.chargeFetch(user(), "example.org", 500);
    for (let times = 0; times < 10; times += 1) await refusal(limits.chargeFetch(user(), "example.org", 500));
    await limits.chargeFetch(user("@other:x"), "example.org", 500);
  });

  test("memory is bounded, and many addresses push out none of the users", async () => {
    let now = 0;
    const buckets = makeMemoryBuckets({ clock: () => now, max: 100 });
    const size = { full: 1, brim: 1, drainPerMs: 1e-9 };
    const pour = (key: string) => buckets.pour("home", [{ key, size, amount: 1 }]);
    assert.ok((await pour("all:user")).fits);
    for (let index = 0; index < 10_000; index += 1) await pour(`path:${index}`);
    assert.ok(!(await pour("all:user")).fits);
    assert.ok(!(await pour("path:9999")).fits);
    assert.ok((await pour("path:0")).fits, "the oldest are forgotten");
    now -= 3_600_000;
    assert.ok(!(await pour("all:user")).fits, "a clock that is set back opens nothing");
  });
});

describe("limits shared through Redis", { skip: redisSkip() }, () => {
  let caches: Cache[];
  before(async () => {
    const redis = { shards: [{ name: "one", addr: sharedRedis() }], databaseNumber: 0 };
    const settings = { redis, patience: LONG_PATIENCE, clock: steadyClock, log: silentLog };
    caches = await Promise.all([settings, settings].map(openCache));
  });
  after(async () => {
    for (const cache of caches) await cache.close();
  });

  test("two of them are as one, in requests and in bytes", async () => {
    const slow = { ...DEFAULTS, requestsPerSecond: 0.001 };
    const both = caches.map((cache) => limitsOn(cache, slow));
    const who = user(`@${uniqueName()}:x`);
    let turn = 0;
    assert.equal(await passes(30, () => pick(both, turn++).checkRequest(who, "/path")), 10);
    const charge = await pick(both, 0).chargeDownload(who, 524_288_000);
    await pick(both, 1).chargeDownload(who, 104_000_000);
    await refusal(pick(both, 0).chargeDownload(who, 10));
    await charge.settle(0);
    await pick(both, 1).chargeDownload(who, 10);
  });

  test("a process of its own counts with them", async () => {
    const who = `@${uniqueName()}:x`;
    const limits = limitsOn(pick(caches, 0), { ...DEFAULTS, requestsPerSecond: 0.001 });
    assert.equal(await passes(4, () => limits.checkRequest(user(who), "/path")), 4);
    const script = fileURLToPath(new URL("other_process.ts", import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [script, sharedRedis(), who, "20"]);
    assert.equal(stdout.trim(), "6");
    await refusal(limits.checkRequest(user(who), "/path"));
  });
});

describe("limits whose Redis is killed", { skip: redisServerSkip() }, () => {
  test("hold on in memory, and refuse nobody for the outage", async (t) => {
    const redis = await startRedis(t);
    const shards = [{ name: "one", addr: redis.addr }];
    const where = { redis: { shards, databaseNumber: 0 }, patience: LONG_PATIENCE };
    const cache = await openCache({ ...where, clock: steadyClock, log: silentLog });
    t.after(() => cache.close());
    const limits = limitsOn(cache, { ...DEFAULTS, requestsPerSecond: 0.001 });
    const charge = await limits.chargeDownload(user(), 1000);
    assert.equal(await passes(20, () => limits.checkRequest(user(), "/path")), 10);
    await redis.kill();
    assert.equal(await passes(20, () => limits.checkRequest(user(), "/path")), 10);
    await charge.settle(0);
    await limits.chargeDownload(user(), 1000);
  });
});

function user(userId = "@user:example.org"): Counted {
  return { kind: "user", name: `user ${userId}`, exempt: false };
}

function bytesOf(downloads: RateLimits["buckets"]["downloads"]): Partial<RateLimits> {
  return { buckets: { ...DEFAULTS.buckets, downloads } };
}

function limitsOn({ buckets }: Cache, settings: RateLimits): Limits {
  const metrics = makeMetrics({ ofProcess: false });
  return new Limits({
    settings: () => settings,
    buckets,
    clock: systemClock,
    steady: steadyClock,
    log: silentLog,
    metrics,
  });
}

function pick<T>(list: readonly T[], turn: number): T {
  return list[turn % list.length] as T;
}

/** How many of so many tries, one after the other, are not refused. */
async function passes(times: number, attempt: () => Promise<unknown>): Promise<number> {
  let passed = 0;
  for (let turn = 0; turn < times; turn += 1) {
    await attempt().then(
      () => (passed += 1),
      (error) => assert.equal((error as MatrixError).status, 429),
    );
  }
  return passed;
}

async function refusal(attempt: Promise<unknown>): Promise<MatrixError> {
  const error = await attempt.then(
    () => assert.fail("it was let pass"),
    (thrown) => thrown,
  );
  assert.ok(error instanceof MatrixError);
  return error;
}
