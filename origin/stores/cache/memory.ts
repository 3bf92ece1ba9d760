import type { SteadyClock } from "../../platform/clock.ts";
import { TtlCache } from "../../platform/ttl.ts";
import { type HintCache, MAX_HINT_BYTES } from "./hint_cache.ts";

/** What an entry costs beside its bytes, roughly. */
const ENTRY_BYTES = 200;
const encoder = new TextEncoder();

/** Hints in the memory of this process: at most `maxBytes` bytes of them, those not asked for longest pushed out first. */
export function makeMemoryHints(options: { readonly clock: SteadyClock; readonly maxBytes: number }): HintCache {
  const { clock, maxBytes } = options;
  const kept = new TtlCache<Uint8Array>({
    ...{ clock, max: 0 },
    bytes: { max: maxBytes, of: (value, key) => value.byteLength + 2 * key.length + ENTRY_BYTES },
  });
  return {
    get: async (key) => kept.get(key),
    async set(key, value, ttlMs) {
      // A copy: neither may a later change show here, nor a small view hold a large buffer.
      const bytes = typeof value === "string" ? encoder.encode(value) : value.slice();
      if (bytes.byteLength > MAX_HINT_BYTES) kept.delete(key);
      else kept.set(key, bytes, { ttlMs });
    },
    async delete(key) {
      kept.delete(key);
      return true;
    },
  };
}
