import type { BucketSize } from "../../stores/cache/bucket.ts";

/** How many requests: so many a second, and so many at once. Without a rate there is no limit. */
export interface RequestLimit {
  readonly requestsPerSecond: number;
  readonly burst: number;
}

/** How many bytes: so many before it has to wait, of which so many are forgiven each minute, and by how much one answer may go beyond. Without a capacity or a drain there is no limit. */
export interface ByteLimit {
  readonly capacityBytes: number;
  readonly drainBytesPerMinute: number;
  readonly overflowLimitBytes: number;
}

/** The section `rateLimit` of the configuration. */
export interface RateLimits extends RequestLimit {
  readonly enabled: boolean;
  readonly overall: RequestLimit;
  readonly buckets: { readonly downloads: ByteLimit; readonly remoteFetches: ByteLimit };
}

/** One limit: the key of the configuration that sets it, what it says in words, and the bucket that holds people to it. */
export interface Limit {
  readonly name: LimitName;
  readonly rule: string;
  readonly size: BucketSize;
}

/** Every limit there is, by the key that sets it. */
export type LimitName =
  | "rateLimit.requestsPerSecond"
  | "rateLimit.overall.requestsPerSecond"
  | "rateLimit.buckets.downloads"
  | "rateLimit.buckets.remoteFetches";

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

/** The limit on requests for one thing (one path). */
export function pathLimit(limits: RateLimits): Limit | undefined {
  return ofRequests(limits, limits, "rateLimit.requestsPerSecond", "for the same thing");
}

/** The limit on requests for whatever it may be. */
export function overallLimit(limits: RateLimits): Limit | undefined {
  return ofRequests(limits, limits.overall, "rateLimit.overall.requestsPerSecond", "in all");
}

/** The limit on bytes of this kind. */
export function byteLimit(limits: RateLimits, kind: keyof RateLimits["buckets"]): Limit | undefined {
  const { capacityBytes, drainBytesPerMinute, overflowLimitBytes } = limits.buckets[kind];
  if (!limits.enabled || capacityBytes <= 0 || drainBytesPerMinute <= 0) return undefined;
  return {
    name: `rateLimit.buckets.${kind}`,
    rule: `${capacityBytes} bytes ${kind === "downloads" ? "sent" : "fetched"}, of which ${drainBytesPerMinute} are forgiven each minute`,
    size: {
      full: capacityBytes,
      brim: capacityBytes + overflowLimitBytes,
      drainPerMs: drainBytesPerMinute / MINUTE_MS,
    },
  };
}

function ofRequests(limits: RateLimits, limit: RequestLimit, name: LimitName, of: string): Limit | undefined {
  const { requestsPerSecond } = limit;
  if (!limits.enabled || requestsPerSecond <= 0) return undefined;
  const burst = Math.max(1, limit.burst);
  return {
    name,
    rule: `${requestsPerSecond} requests a second ${of}, ${burst} at once`,
    size: { full: burst, brim: burst, drainPerMs: requestsPerSecond / SECOND_MS },
  };
}
