import { LRUCache } from "lru-cache";
import { parseServerName } from "../../../shared/matrix/server_name.ts";
import type { SafeResponse } from "../../net/fetch_answer.ts";
import type { SafeFetch } from "../../net/safe_fetch.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import { SingleFlight } from "../../platform/single_flight.ts";

/** What `/.well-known/matrix/server` of a host says: the server name it delegates to, or nothing usable. */
export interface WellKnown {
  delegate: string | undefined;
  /** Why there is no delegate, or where it is known from; for the administrator. */
  note: string;
}

/** Finds the delegation of a host name; never throws, since discovery goes on without (Server-Server API, "Server discovery", step 3). */
export type FindWellKnown = (hostname: string, fresh?: boolean) => Promise<WellKnown>;

interface Entry extends WellKnown {
  /** When to ask again. */
  refreshAtMs: number;
  /** Until when a delegate may be used although asking again failed. */
  staleUntilMs: number;
  /** Failures in a row. */
  failures: number;
}

const MAX_BYTES = 51_200;
const TIMEOUT_MS = 10_000;
const REDIRECTS = 5;
const MAX_HOSTS = 5_000;

const HOUR_MS = 3_600_000;
/** The specification recommends a day where the answer names no time, and two days at most. The minimum is ours. */
const DEFAULT_MS = 24 * HOUR_MS;
const MAX_MS = 48 * HOUR_MS;
const MIN_MS = 300_000;
/** Failures are remembered from a minute, doubling, up to an hour. */
const FIRST_FAILURE_MS = 60_000;
/** How long beyond its time a delegation is believed while the host cannot be asked. */
const STALE_MS = 24 * HOUR_MS;

/** Makes the {@link FindWellKnown} with its cache, which remembers failures as well. */
export function makeFindWellKnown(parts: { safeFetch: SafeFetch; clock: SteadyClock }): FindWellKnown {
  const known = new LRUCache<string, Entry>({ max: MAX_HOSTS });
  const asking = new SingleFlight<Entry>();

  return async (hostname, fresh = false) => {
    const entry = known.get(hostname);
    if (entry && !fresh && parts.clock() < entry.refreshAtMs) return entry;
    return await asking.run(hostname, () => refresh(hostname, entry));
  };

  async function refresh(hostname: string, previous: Entry | undefined): Promise<Entry> {
    const entry = await ask(hostname).catch((error) => failed(String((error as Error).message), previous));
    known.set(hostname, entry);
    return entry;
  }

  async function ask(hostname: string): Promise<Entry> {
    const response = await parts.safeFetch(`https://${hostname}/.well-known/matrix/server`, {
      reach: "public",
      headers: { accept: "application/json" },
      httpsOnly: true,
      redirects: REDIRECTS,
      maxBytes: MAX_BYTES,
      timeoutMs: TIMEOUT_MS,
    });
    const delegate = response.status === 200 ? readDelegate(await response.json()) : undefined;
    if (response.status !== 200) await response.body.cancel();
    if (delegate === undefined) throw new Error(`Status ${response.status} without a valid m.server`);
    const nowMs = parts.clock();
    const refreshAtMs = nowMs + lifetime(response);
    return { delegate, note: "well-known", refreshAtMs, staleUntilMs: refreshAtMs + STALE_MS, failures: 0 };
  }

  function failed(reason: string, previous: Entry | undefined): Entry {
    const nowMs = parts.clock();
    const failures = (previous?.failures ?? 0) + 1;
    const refreshAtMs = nowMs + Math.min(FIRST_FAILURE_MS * 2 ** Math.min(failures - 1, 10), HOUR_MS);
    const usable = previous?.delegate !== undefined && nowMs < previous.staleUntilMs;
    if (usable) return { ...previous, note: `well-known, kept although: ${reason}`, refreshAtMs, failures };
    return { delegate: undefined, note: reason, refreshAtMs, staleUntilMs: 0, failures };
  }
}

function readDelegate(body: unknown): string | undefined {
  const delegate =
    typeof body === "object" && body !== null ? (body as { "m.server"?: unknown })["m.server"] : undefined;
  return typeof delegate === "string" && parseServerName(delegate) ? delegate : undefined;
}

/** For how long the answer may be kept, by its caching headers (RFC 9111, sections 5.2 and 5.3), within our bounds. */
function lifetime(response: SafeResponse): number {
  const control = response.headers.get("cache-control")?.toLowerCase() ?? "";
  if (/\bno-(?:store|cache)\b/.test(control)) return MIN_MS;
  const maxAge = /\bmax-age="?(\d{1,12})/.exec(control)?.[1];
  if (maxAge !== undefined) return bounded(Number(maxAge) * 1000);
  const expires = response.headers.get("expires");
  // By the clock of the server itself (RFC 9111, section 4.2.1). A date that can't be read, "0" above all, has passed.
  const answeredMs = Date.parse(response.headers.get("date") ?? "");
  return expires === null ? DEFAULT_MS : bounded(Date.parse(expires) - answeredMs || 0);
}

function bounded(ms: number): number {
  return Math.min(Math.max(ms, MIN_MS), MAX_MS);
}
