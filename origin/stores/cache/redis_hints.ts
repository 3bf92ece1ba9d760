import { type HintCache, MAX_HINT_BYTES } from "./hint_cache.ts";
import type { SharedRedis } from "./redis.ts";

const PREFIX = "mxcdn:hint:";

/** Hints that all processes share. With Redis gone there are none. */
export function makeRedisHints(redis: SharedRedis): HintCache {
  const forget = async (key: string) => (await redis.ask(key, (client) => client.del(PREFIX + key))) !== undefined;
  return {
    async get(key) {
      return (await redis.ask(key, (client) => client.getBuffer(PREFIX + key))) ?? undefined;
    },
    async set(key, value, ttlMs) {
      if (Buffer.byteLength(value) > MAX_HINT_BYTES || ttlMs <= 0) return void (await forget(key));
      const bytes = typeof value === "string" ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      await redis.ask(key, (client) => client.set(PREFIX + key, bytes, "PX", Math.ceil(ttlMs)));
    },
    delete: forget,
  };
}
