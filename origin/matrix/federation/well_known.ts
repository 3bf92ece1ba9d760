import { LRUCache } from "lru-cache";
import { parseServerName } from "../../../shared/matrix/server_name.ts";
import type { SafeResponse } from "../../net/fetch_answer.ts";
import type { SafeFetch } from "../../net/safe_fetch.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import { SingleFlight } from "../../platform/work_queue.ts";

/** What `/.well-known/matrix/server` of a host says: the server name it delegates to, or nothing usable. */
export interface WellKnown {
  readonly delegate: string | undefined;
  /** Why there is no delegate, or where it is known from; for the administrator. */
  readonly note: string;
}

interface Entry extends WellKnown {
  /** When to ask again. */
  readonly refreshAtMs: number;
  /** Until when a delegate may be used although asking again failed. */
  readonly staleUntilMs: number;
  /** Failures in a row. */
  readonly failures: number;
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

/**
 * The delegations of host names (Server-Server API, "Server discovery", step 3), kept as long as their servers say, failures as well.
 * Beyond its time a delegation is kept for when its server cannot be asked.
 */
export class WellKnowns {
  readonly #safeFetch: SafeFetch;
  readonly #clock: SteadyClock;
  readonly #known = new LRUCache<string, Entry>({ max: MAX_HOSTS });
  readonly #asking = new SingleFlight<Entry>();

  constructor({ safeFetch, clock }: { readonly safeFetch: SafeFetch; readonly clock: SteadyClock }) {
    this.#safeFetch = safeFetch;
    this.#clock = clock;
  }

  /** What a host says. `fresh`: asks it again. Never throws, since discovery goes on without. */
  async find(hostname: string, fresh = false): Promise<WellKnown> {
    const entry = this.#known.get(hostname);
    if (entry && !fresh && this.#clock() < entry.refreshAtMs) return entry;
    return await this.#asking.run(hostname, () => this.#refresh(hostname, entry));
  }

  async #refresh(hostname: string, previous: Entry | undefined): Promise<Entry> {
    const entry = await this.#ask(hostname).catch((error: Error) => this.#failed(String(error.message), previous));
    this.#known.set(hostname, entry);
    return entry;
  }

  async #ask(hostname: string): Promise<Entry> {
    const response = await this.#safeFetch(`https://${hostname}/.well-known/matrix/server`, {
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
    const refreshAtMs = this.#clock() + lifetime(response);
    return { delegate, note: "well-known", refreshAtMs, staleUntilMs: refreshAtMs + STALE_MS, failures: 0 };
  }

  #failed(reason: string, previous: Entry | undefined): Entry {
    const nowMs = this.#clock();
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
