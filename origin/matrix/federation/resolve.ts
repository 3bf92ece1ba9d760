import { parseServerName, type ServerName } from "../../../shared/matrix/server_name.ts";
import type { Dns } from "../../net/dns.ts";
import type { SafeFetch } from "../../net/safe_fetch.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import { raceAbort } from "../../platform/time.ts";
import { orderSrv, SrvRecords, type Target } from "./srv.ts";
import { WellKnowns } from "./well_known.ts";

/** Where a server is, and how to speak to it there. */
export interface ResolvedServer {
  /** The step of the specification that found it. */
  readonly step: "1" | "2" | "3.1" | "3.2" | "3.3" | "3.4" | "3.5" | "4" | "5" | "6";
  /** Where to connect, in the order to try. */
  readonly targets: readonly Target[];
  /** The `Host` header: with a port only if the name in use has one. */
  readonly hostHeader: string;
  /** Name or address (without brackets) that the certificate must be valid for; never that of an SRV target. */
  readonly tlsName: string;
}

/** One question of discovery and what came of it, for the administrator's test of federation. */
export interface DiscoveryStep {
  readonly question: string;
  readonly outcome: string;
  readonly tookMs: number;
}

/** How a server is looked for. */
export interface ResolveOptions {
  /** Ask everything again instead of using what is remembered. */
  readonly fresh?: boolean;
  /** Told every question. */
  readonly onStep?: (step: DiscoveryStep) => void;
  /** Ends the waiting; what it aborts with is thrown. A question that was asked goes on for others who wait for the same. */
  readonly signal?: AbortSignal;
}

/** What servers are looked for with. */
export interface ResolverParts {
  readonly safeFetch: SafeFetch;
  /** SRV records; an empty list if there are none. */
  readonly srv: Dns["srv"];
  readonly clock: SteadyClock;
  /** Numbers from 0 up to but not including 1. */
  readonly random: () => number;
}

const DEFAULT_PORT = 8448;

/** Server discovery (Server-Server API, "Resolving server names") with its bounded caches. Comments number its steps. */
export class ServerResolver {
  readonly #wellKnowns: WellKnowns;
  readonly #srv: SrvRecords;
  readonly #parts: ResolverParts;

  constructor(parts: ResolverParts) {
    this.#parts = parts;
    this.#wellKnowns = new WellKnowns(parts);
    this.#srv = new SrvRecords(parts);
  }

  /**
   * Finds a server; `undefined` if the text is not a valid server name. Whether anybody answers there is only seen by connecting.
   * Throws what `signal` aborts with.
   */
  async resolve(serverName: string, options: ResolveOptions = {}): Promise<ResolvedServer | undefined> {
    const name = parseServerName(serverName);
    if (!name) return undefined;
    // Steps 1 and 2: an address, or a name with a port, is where it says.
    if (name.kind !== "dns") return direct("1", serverName, name);
    if (name.port !== undefined) return direct("2", serverName, name);
    const delegate = await this.#delegateOf(serverName, options);
    if (delegate === undefined) return await this.#bySrv(serverName, { fed: "4", old: "5", none: "6" }, options);
    const target = parseServerName(delegate);
    if (!target) return undefined;
    // Step 3: the delegate takes the place of the name, but has no well-known of its own.
    if (target.kind !== "dns") return direct("3.1", delegate, target);
    if (target.port !== undefined) return direct("3.2", delegate, target);
    return await this.#bySrv(delegate, { fed: "3.3", old: "3.4", none: "3.5" }, options);
  }

  async #delegateOf(hostname: string, options: ResolveOptions): Promise<string | undefined> {
    const found = await this.#traced(
      `well-known of ${hostname}`,
      () => this.#wellKnowns.find(hostname, options.fresh),
      ({ delegate, note }) => (delegate ? `${delegate} (${note})` : note),
      options,
    );
    return found.delegate;
  }

  async #bySrv(
    hostname: string,
    steps: { readonly fed: "3.3" | "4"; readonly old: "3.4" | "5"; readonly none: "3.5" | "6" },
    options: ResolveOptions,
  ): Promise<ResolvedServer> {
    const names = { hostHeader: hostname, tlsName: hostname };
    for (const [step, service] of [
      [steps.fed, "_matrix-fed._tcp"],
      [steps.old, "_matrix._tcp"],
    ] as const) {
      const records = await this.#traced(
        `SRV ${service}.${hostname}`,
        () => this.#srv.find(`${service}.${hostname}`, options.fresh),
        (found) => found.map(({ name, port }) => `${name}:${port}`).join(", ") || "none",
        options,
      );
      const targets = orderSrv(records, this.#parts.random);
      if (targets.length > 0) return { step, targets, ...names };
    }
    return { step: steps.none, targets: [{ host: hostname, port: DEFAULT_PORT }], ...names };
  }

  async #traced<T>(
    question: string,
    ask: () => Promise<T>,
    describe: (answer: T) => string,
    { signal, onStep }: ResolveOptions,
  ): Promise<T> {
    const { clock } = this.#parts;
    const startedMs = clock();
    const answer = await (signal ? raceAbort(ask(), signal) : ask());
    onStep?.({ question, outcome: describe(answer), tookMs: clock() - startedMs });
    return answer;
  }
}

function direct(step: ResolvedServer["step"], hostHeader: string, { host, port }: ServerName): ResolvedServer {
  return { step, targets: [{ host, port: port ?? DEFAULT_PORT }], hostHeader, tlsName: host };
}
