import { LRUCache } from "lru-cache";
import type { SteadyClock } from "../../platform/clock.ts";
import { type HintCache, MAX_HINT_BYTES } from "./hint_cache.ts";

interface Kept {
  readonly value: Uint8Array;
  readonly expiresAt: number;
}

/** What an entry costs beside its bytes, roughly. */
const ENTRY_BYTES = 200;
const encoder = new TextEncoder();

/** Hints in the memory of this process: at most `maxBytes` bytes of them, those not asked for longest pushed out first. */
export function makeMemoryHints(options: { readonly clock: SteadyClock; readonly maxBytes: number }): HintCache {
  const { clock, maxBytes } = options;
  const kept = new LRUCache<string, Kept>({
    maxSize: maxBytes,
    sizeCalculation: ({ value }, key) => value.byteLength + 2 * key.length + ENTRY_BYTES,
  });
  return {
    async get(key) {
      const found = kept.get(key);
      if (!found) return undefined;
      if (found.expiresAt > clock()) return found.value;
      kept.delete(key);
      return undefined;
    },
    async set(key, value, ttlMs) {
      // A copy: neither may a later change show here, nor a small view hold a large buffer.
      const bytes = typeof value === "string" ? encoder.encode(value) : value.slice();
      if (bytes.byteLength > MAX_HINT_BYTES || ttlMs <= 0) return void kept.delete(key);
      kept.set(key, { value: bytes, expiresAt: clock() + ttlMs });
    },
    async delete(key) {
      kept.delete(key);
      return true;
    },
  };
}
