import type { SteadyClock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import type { Buckets } from "./bucket.ts";
import type { HintCache } from "./hint_cache.ts";
import { makeMemoryHints } from "./memory.ts";
import { makeMemoryBuckets } from "./memory_buckets.ts";
import { openRedis, type RedisAddress, type RedisPatience } from "./redis.ts";
import { makeRedisBuckets } from "./redis_buckets.ts";
import { makeRedisHints } from "./redis_hints.ts";

/** What processes share where there is Redis, and each has for itself where there is none. */
export interface Cache {
  readonly hints: HintCache;
  readonly buckets: Buckets;
  close(): Promise<void>;
}

/** Where to keep it. `redis: undefined`: in memory. */
export interface CacheSettings {
  readonly redis: { readonly shards: readonly RedisAddress[]; readonly databaseNumber: number } | undefined;
  /** How long Redis is waited for, where it is not the usual fraction of a second. */
  readonly patience?: RedisPatience | undefined;
  readonly clock: SteadyClock;
  readonly log: Log;
}

const HINT_BYTES = 64 * 1_048_576;

/** Opens the cache. Redis may be away: it is used once it is there. */
export async function openCache({ redis, patience, clock, log }: CacheSettings): Promise<Cache> {
  const memory = makeMemoryBuckets({ clock });
  if (!redis) {
    return { hints: makeMemoryHints({ clock, maxBytes: HINT_BYTES }), buckets: memory, close: async () => undefined };
  }
  const shared = await openRedis({ ...redis, patience, clock, log });
  return { hints: makeRedisHints(shared), buckets: makeRedisBuckets(shared, memory), close: () => shared.close() };
}
