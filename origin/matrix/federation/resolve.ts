import { LRUCache } from "lru-cache";
import { parseServerName, type ServerName } from "../../../shared/matrix/server_name.ts";
import type { Dns } from "../../net/dns.ts";
import type { SafeFetch } from "../../net/safe_fetch.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import { SingleFlight } from "../../platform/single_flight.ts";
import { raceAbort } from "../../platform/time.ts";
import { orderSrv, type Target } from "./srv.ts";
import { type FindWellKnown, makeFindWellKnown } from "./well_known.ts";

/** Where a server is, and how to speak to it there. */
export interface ResolvedServer {
  /** The step of the specification that found it. */
  step: "1" | "2" | "3.1" | "3.2" | "3.3" | "3.4" | "3.5" | "4" | "5" | "6";
  /** Where to connect, in the order to try. */
  targets: Target[];
  /** The `Host` header: with a port only if the name in use has one. */
  hostHeader: string;
  /** Name or address (without brackets) that the certificate must be valid for; never that of an SRV target. */
  tlsName: string;
}

/** One question of discovery and what came of it, for the administrator's test of federation. */
export interface DiscoveryStep {
  question: string;
  outcome: string;
  tookMs: number;
}

/** How a server is looked for. */
export interface ResolveOptions {
  /** Ask everything again instead of using what is remembered. */
  fresh?: boolean;
  /** Told every question. */
  onStep?: (step: DiscoveryStep) => void;
  /** Ends the waiting; what it aborts with is thrown. A question that was asked goes on for others who wait for the same. */
  signal?: AbortSignal;
}

/** Finds a server; `undefined` if the text is no server name. Whether anybody answers there is only seen by connecting. */
export type ResolveServer = (serverName: string, options?: ResolveOptions) => Promise<ResolvedServer | undefined>;

/** What `makeResolveServer` needs. */
export interface ResolveParts {
  safeFetch: SafeFetch;
  /** SRV records; an empty list if there are none. */
  srv: Dns["srv"];
  clock: SteadyClock;
  /** Numbers from 0 up to but not including 1. */
  random: () => number;
}

type Records = Awaited<ReturnType<Dns["srv"]>>;

const DEFAULT_PORT = 8448;
const MAX_NAMES = 10_000;
/** The resolver does not tell for how long records are valid, so they are kept briefly; the lack of them too. */
const SRV_MS = 300_000;
const SRV_FAILURE_MS = 60_000;

/** Makes server discovery (Server-Server API, "Resolving server names") with its bounded caches. Comments number its steps. */
export function makeResolveServer(parts: ResolveParts): ResolveServer {
  const findWellKnown = makeFindWellKnown(parts);
  const findSrv = makeFindSrv(parts);

  return async function resolveServer(text, options = {}) {
    const name = parseServerName(text);
    if (!name) return undefined;
    // Steps 1 and 2: an address, or a name with a port, is where it says.
    if (name.kind !== "dns") return direct("1", text, name);
    if (name.port !== undefined) return direct("2", text, name);
    const delegate = await delegateOf(text, options);
    if (delegate === undefined) return await bySrv(text, { fed: "4", old: "5", none: "6" }, options);
    const target = parseServerName(delegate);
    if (!target) return undefined;
    // Step 3: the delegate takes the place of the name, but has no well-known of its own.
    if (target.kind !== "dns") return direct("3.1", delegate, target);
    if (target.port !== undefined) return direct("3.2", delegate, target);
    return await bySrv(delegate, { fed: "3.3", old: "3.4", none: "3.5" }, options);
  };

  async function delegateOf(hostname: string, options: ResolveOptions): Promise<string | undefined> {
    const ask = () => findWellKnown(hostname, options.fresh);
    const describe = ({ delegate, note }: Awaited<ReturnType<FindWellKnown>>) =>
      delegate ? `${delegate} (${note})` : note;
    return (await traced(`well-known of ${hostname}`, ask, describe, options)).delegate;
  }

  async function bySrv(
    hostname: string,
    steps: { fed: "3.3" | "4"; old: "3.4" | "5"; none: "3.5" | "6" },
    options: ResolveOptions,
  ): Promise<ResolvedServer> {
    const names = { hostHeader: hostname, tlsName: hostname };
    for (const [step, service] of [
      [steps.fed, "_matrix-fed._tcp"],
      [steps.old, "_matrix._tcp"],
    ] as const) {
      const ask = () => findSrv(`${service}.${hostname}`, options.fresh);
      const describe = (records: Records) => records.map(({ name, port }) => `${name}:${port}`).join(", ") || "none";
      const targets = orderSrv(await traced(`SRV ${service}.${hostname}`, ask, describe, options), parts.random);
      if (targets.length > 0) return { step, targets, ...names };
    }
    return { step: steps.none, targets: [{ host: hostname, port: DEFAULT_PORT }], ...names };
  }

  async function traced<T>(
    question: string,
    ask: () => Promise<T>,
    describe: (answer: T) => string,
    options: ResolveOptions,
  ): Promise<T> {
    const startedMs = parts.clock();
    const answer = await (options.signal ? raceAbort(ask(), options.signal) : ask());
    options.onStep?.({ question, outcome: describe(answer), tookMs: parts.clock() - startedMs });
    return answer;
  }
}

function direct(step: ResolvedServer["step"], hostHeader: string, { host, port }: ServerName): ResolvedServer {
  return { step, targets: [{ host, port: port ?? DEFAULT_PORT }], hostHeader, tlsName: host };
}

function makeFindSrv(parts: Pick<ResolveParts, "srv" | "clock">): (name: string, fresh?: boolean) => Promise<Records> {
  const known = new LRUCache<string, { records: Records; untilMs: number }>({ max: MAX_NAMES });
  const asking = new SingleFlight<Records>();

  return async (name, fresh = false) => {
    const entry = known.get(name);
    if (entry && !fresh && parts.clock() < entry.untilMs) return entry.records;
    return await asking.run(name, () => ask(name, entry?.records ?? []));
  };

  async function ask(name: string, previous: Records): Promise<Records> {
    try {
      const records = await parts.srv(name);
      known.set(name, { records, untilMs: parts.clock() + SRV_MS });
      return records;
    } catch {
      // Name servers that don't answer must not make a server unreachable that needs no SRV record, or had one just now.
      known.set(name, { records: previous, untilMs: parts.clock() + SRV_FAILURE_MS });
      return previous;
    }
  }
}
