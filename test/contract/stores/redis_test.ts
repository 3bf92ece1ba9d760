import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { steadyClock } from "../../../origin/platform/clock.ts";
import { type Log, silentLog } from "../../../origin/platform/log.ts";
import type { Pour } from "../../../origin/stores/cache/bucket.ts";
import { MAX_HINT_BYTES } from "../../../origin/stores/cache/hint_cache.ts";
import { type Cache, openCache } from "../../../origin/stores/cache/open_cache.ts";
import type { RedisPatience } from "../../../origin/stores/cache/redis.ts";
import type { Lifetime } from "../../support/lifetime.ts";
import { LONG_PATIENCE, redisServerSkip, redisSkip, sharedRedis, startRedis, uniqueName } from "../../support/redis.ts";
import { until } from "../../support/until.ts";

const kinds = [
  { name: "memory", skip: false as const, redis: () => undefined },
  { name: "redis", skip: redisSkip(), redis: () => ({ shards: [shard(sharedRedis())], databaseNumber: 0 }) },
  { name: "three shards", skip: redisSkip(), redis: () => ({ shards: threeShards(sharedRedis()), databaseNumber: 0 }) },
];

for (const kind of kinds) {
  describe(`a cache in ${kind.name}`, { skip: kind.skip }, () => {
    let cache: Cache;
    before(async () => {
      cache = await openCache({ redis: kind.redis(), patience: LONG_PATIENCE, clock: steadyClock, log: silentLog });
    });
    after(() => cache.close());

    test("gives back what was kept, byte for byte, until it is deleted", async () => {
      const key = uniqueName();
      assert.equal(await cache.hints.get(key), undefined);
      const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
      await cache.hints.set(key, bytes, 60_000);
      assert.deepEqual(new Uint8Array((await cache.hints.get(key)) as Uint8Array), bytes);
      await cache.hints.set(key, "Ω", 60_000);
      assert.equal(new TextDecoder().decode(await cache.hints.get(key)), "Ω");
      assert.equal(await cache.hints.delete(key), true);
      assert.equal(await cache.hints.get(key), undefined);
    });

    test("forgets when the time is over", async () => {
      const key = uniqueName();
      await cache.hints.set(key, "soon gone", 20);
      await wait(40);
      assert.equal(await cache.hints.get(key), undefined);
    });

    test("keeps nothing too large, and then not the old value either", async () => {
      const key = uniqueName();
      await cache.hints.set(key, "old", 60_000);
      await cache.hints.set(key, new Uint8Array(MAX_HINT_BYTES + 1), 60_000);
      assert.equal(await cache.hints.get(key), undefined);
    });

    test("fills a bucket, and says how long until something fits again", async () => {
      const [home, pour] = [uniqueName(), pourOf(1, { full: 10, brim: 10, drainPerMs: 1e-6 })];
      for (let times = 0; times < 10; times += 1) assert.ok((await cache.buckets.pour(home, [pour])).fits);
      const outcome = await cache.buckets.pour(home, [pour]);
      assert.ok(!outcome.fits && outcome.index === 0);
      assert.ok(outcome.waitMs > 900_000 && outcome.waitMs <= 1_000_000, `${outcome.waitMs} ms`);
    });

    test("lets a bucket drain", async () => {
      const [home, pour] = [uniqueName(), pourOf(1, { full: 1, brim: 1, drainPerMs: 1e-9 })];
      assert.ok((await cache.buckets.pour(home, [pour])).fits);
      assert.ok(!(await cache.buckets.pour(home, [pour])).fits);
      await wait(5);
      // The rate is told with each pour: by this one, the bucket is empty by now.
      assert.ok((await cache.buckets.pour(home, [{ ...pour, size: { ...pour.size, drainPerMs: 1 } }])).fits);
    });

    test("pours into all buckets or into none", async () => {
      const home = uniqueName();
      const wide = pourOf(1, { full: 100, brim: 100, drainPerMs: 1e-9 });
      const narrow = pourOf(1, { full: 1, brim: 1, drainPerMs: 1e-9 });
      assert.ok((await cache.buckets.pour(home, [wide, narrow])).fits);
      for (let times = 0; times < 200; times += 1) {
        const outcome = await cache.buckets.pour(home, [wide, narrow]);
        assert.ok(!outcome.fits && outcome.index === 1);
      }
      assert.ok((await cache.buckets.pour(home, [{ ...wide, amount: 99 }])).fits, "only one had gone in");
    });

    test("takes a pour up to the brim while the bucket is not full, and any pour when it is empty", async () => {
      const home = uniqueName();
      const size = { full: 100, brim: 150, drainPerMs: 1e-9 };
      const pour = pourOf(90, size);
      assert.ok((await cache.buckets.pour(home, [pour])).fits);
      assert.ok(!(await cache.buckets.pour(home, [{ ...pour, amount: 61 }])).fits);
      assert.ok((await cache.buckets.pour(home, [{ ...pour, amount: 60 }])).fits);
      assert.ok(!(await cache.buckets.pour(home, [{ ...pour, amount: 1 }])).fits, "it is more than full");
      const large = pourOf(1000, size);
      assert.ok((await cache.buckets.pour(home, [large])).fits);
      assert.ok(!(await cache.buckets.pour(home, [large])).fits);
    });

    test("corrects a bucket both ways, and never below nothing", async () => {
      const home = uniqueName();
      const pour = pourOf(100, { full: 100, brim: 100, drainPerMs: 1e-9 });
      assert.ok((await cache.buckets.pour(home, [pour])).fits);
      await cache.buckets.correct(home, { ...pour, amount: -60 });
      assert.ok(!(await cache.buckets.pour(home, [{ ...pour, amount: 61 }])).fits);
      assert.ok((await cache.buckets.pour(home, [{ ...pour, amount: 60 }])).fits);
      await cache.buckets.correct(home, { ...pour, amount: -1000 });
      assert.ok((await cache.buckets.pour(home, [pour])).fits);
      await cache.buckets.correct(home, { ...pour, amount: 50 });
      await cache.buckets.correct(home, { ...pour, amount: -100 });
      assert.ok(!(await cache.buckets.pour(home, [{ ...pour, amount: 60 }])).fits, "50 were too many");
    });

    test("counts right when many pour at once", async () => {
      const [home, pour] = [uniqueName(), pourOf(1, { full: 50, brim: 50, drainPerMs: 1e-9 })];
      const outcomes = await Promise.all(Array.from({ length: 200 }, () => cache.buckets.pour(home, [pour])));
      assert.equal(outcomes.filter((outcome) => outcome.fits).length, 50);
    });
  });
}

describe("two processes with one Redis", { skip: redisSkip() }, () => {
  test("share hints and buckets", async (t) => {
    const open = () => openOn(t, sharedRedis(), { patience: LONG_PATIENCE });
    const [one, other] = await Promise.all([open(), open()]);
    const key = uniqueName();
    await one.hints.set(key, "told", 60_000);
    assert.equal(new TextDecoder().decode(await other.hints.get(key)), "told");
    const pour = pourOf(1, { full: 4, brim: 4, drainPerMs: 1e-9 });
    const turns = [one, other, one, other, one, other];
    const fits = [];
    for (const turn of turns) fits.push((await turn.buckets.pour(key, [pour])).fits);
    assert.deepEqual(fits, [true, true, true, true, false, false]);
  });
});

describe("a Redis in trouble", { skip: redisServerSkip() }, () => {
  test("that is killed: counting goes on in this process, quickly, and is shared again when it is back", async (t) => {
    const redis = await startRedis(t);
    const said: string[] = [];
    // To wait for what is gone would take that long, and the test would fail.
    const open = (said: string[]) => openOn(t, redis.addr, { said, patience: LONG_PATIENCE });
    const [one, other] = await Promise.all([open(said), open([])]);
    const pour = pourOf(1, { full: 3, brim: 3, drainPerMs: 1e-9 });
    const home = uniqueName();
    for (const turn of [one, other, one]) assert.ok((await turn.buckets.pour(home, [pour])).fits);
    assert.ok(!(await other.buckets.pour(home, [pour])).fits);
    await one.hints.set(home, "hint", 60_000);

    await redis.kill();
    const began = performance.now();
    const fits = [];
    for (let times = 0; times < 5; times += 1) fits.push((await one.buckets.pour(home, [pour])).fits);
    assert.deepEqual(fits, [true, true, true, false, false], "limited by this process alone");
    await one.hints.set(home, "hint", 60_000);
    assert.equal(await one.hints.get(home), undefined);
    assert.equal(await one.hints.delete(home), false, "nobody may take it for deleted");
    assert.ok(performance.now() - began < LONG_PATIENCE.commandMs / 2, "nothing waited for what is gone");

    await redis.restart();
    await until(async () => {
      await one.hints.set(home, "again", 60_000);
      return (await other.hints.get(home)) !== undefined;
    }, "it is shared again");
    const shared = uniqueName();
    const turns = [];
    for (const turn of [one, other, one, other]) turns.push((await turn.buckets.pour(shared, [pour])).fits);
    assert.deepEqual(turns, [true, true, true, false]);
    assert.deepEqual(said, ["Redis is away: this process goes on by itself", "Redis is back"], "each said once");
  });

  test("that hangs: one request waits a moment, the others are not even asked", async (t) => {
    const redis = await startRedis(t);
    const cache = await openOn(t, redis.addr);
    const pour = pourOf(1, { full: 1000, brim: 1000, drainPerMs: 1e-9 });
    assert.ok((await cache.buckets.pour("user", [pour])).fits);
    const before = await redis.scriptsRun();
    redis.freeze();
    t.after(async () => redis.thaw());
    const began = performance.now();
    assert.ok((await cache.buckets.pour("user", [pour])).fits);
    const first = performance.now() - began;
    assert.ok(first < 4_000, `${first} ms`);
    for (let times = 0; times < 100; times += 1) assert.ok((await cache.buckets.pour("user", [pour])).fits);
    const others = performance.now() - began - first;
    redis.thaw();
    await until(async () => {
      await cache.hints.set("thawed", "yes", 60_000);
      return (await cache.hints.get("thawed")) !== undefined;
    }, "it is used again");
    // The first, and then one a second, to find out whether it answers again.
    const asked = (await redis.scriptsRun()) - before;
    assert.ok(asked <= 1 + Math.ceil(others / 1_000), `${asked} pours reached it in ${others} ms`);
  });

  test("that is not there at the start: the cache opens all the same, and uses it once it is", async (t) => {
    const redis = await startRedis(t);
    await redis.kill();
    const cache = await openOn(t, redis.addr);
    const pour = pourOf(1, { full: 1, brim: 1, drainPerMs: 1e-9 });
    assert.ok((await cache.buckets.pour("user", [pour])).fits);
    assert.ok(!(await cache.buckets.pour("user", [pour])).fits);
    await redis.restart();
    await until(async () => {
      await cache.hints.set("here", "yes", 60_000);
      return (await cache.hints.get("here")) !== undefined;
    }, "it is used");
  });

  test("one shard of two: what belongs to the other is still shared", async (t) => {
    const [well, ill] = await Promise.all([startRedis(t), startRedis(t)]);
    const shards = [
      { name: "well", addr: well.addr },
      { name: "ill", addr: ill.addr },
    ];
    const where = { redis: { shards, databaseNumber: 0 }, patience: LONG_PATIENCE };
    const cache = await openCache({ ...where, clock: steadyClock, log: silentLog });
    t.after(() => cache.close());
    const keys = Array.from({ length: 40 }, (_, index) => `key ${index}`);
    await ill.kill();
    for (const key of keys) await cache.hints.set(key, "kept", 60_000);
    const found = await Promise.all(keys.map((key) => cache.hints.get(key)));
    const kept = found.filter((one) => one !== undefined).length;
    assert.ok(kept > 5 && kept < 35, `${kept} of ${keys.length}`);
  });

  test("that wants a password is opened with the one of its URL, and not without; the URL names the database, too", async (t) => {
    const redis = await startRedis(t, { password: "s3cret/of it" });
    const url = (database: number) => `redis://:s3cret%2Fof%20it@${redis.addr}/${database}`;
    const [open, elsewhere] = await Promise.all(
      [url(3), url(4)].map((addr) => openOn(t, addr, { patience: LONG_PATIENCE })),
    );
    const shut = await openOn(t, redis.addr);
    assert.ok(open && elsewhere);
    for (const cache of [shut, open]) await cache.hints.set("key", "value", 60_000);
    assert.equal(await shut.hints.get("key"), undefined);
    assert.equal((await open.hints.get("key"))?.byteLength, 5);
    assert.equal(await elsewhere.hints.get("key"), undefined);
  });
});

function pourOf(amount: number, size: Pour["size"]): Pour {
  return { key: `test:${uniqueName()}`, size, amount };
}

function shard(addr: string) {
  return { name: "one", addr };
}

/** Three databases of one server stand for three servers. */
function threeShards(addr: string) {
  return [1, 2, 3].map((database) => {
    const url = new URL(addr);
    url.pathname = `/${database}`;
    return { name: `shard ${database}`, addr: url.href };
  });
}

/** Opens a cache there, with the patience of everyday unless told otherwise. */
async function openOn(
  t: Lifetime,
  addr: string,
  { said = [], patience }: { readonly said?: string[]; readonly patience?: RedisPatience } = {},
): Promise<Cache> {
  const log: Log = { ...silentLog, warn: (_, text) => void said.push(text), info: (_, text) => void said.push(text) };
  const redis = { shards: [shard(addr)], databaseNumber: 0 };
  const cache = await openCache({ redis, patience, clock: steadyClock, log });
  t.after(() => cache.close());
  return cache;
}
