import type { SafeResponse } from "../../net/fetch_answer.ts";
import type { SafeFetch } from "../../net/safe_fetch.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import { FederationClient, type FederationGet, urlOf } from "./federation_client.ts";
import { HostCircuits } from "./host_circuits.ts";
import { type ResolvedServer, type ResolveOptions, type ResolverParts, ServerResolver } from "./resolve.ts";
import type { Target } from "./srv.ts";

/** What other servers are found and asked with. */
export interface FederationParts extends ResolverParts {
  /** Failures in a row after which a server is left alone for a while (`federation.backoffAt`). */
  readonly backoffAt: number;
}

/** One request to one place, in bytes and milliseconds. */
export interface PlaceRequest {
  /** Path and query. */
  readonly path: string;
  readonly maxBytes: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** The way to other servers: finds them, asks them with signed requests, and leaves alone for a while those that keep failing. */
export class Federation {
  readonly #safeFetch: SafeFetch;
  readonly #resolver: ServerResolver;
  readonly #client: FederationClient;
  readonly #uncounted: FederationClient;

  constructor(parts: FederationParts) {
    const { safeFetch, backoffAt } = parts;
    const clock: SteadyClock = parts.clock;
    const resolver = new ServerResolver(parts);
    this.#safeFetch = safeFetch;
    this.#resolver = resolver;
    this.#uncounted = new FederationClient({ safeFetch, resolver, clock });
    this.#client = new FederationClient({
      ...{ safeFetch, resolver, clock },
      circuits: new HostCircuits({ failures: backoffAt, clock }),
    });
  }

  /** As {@link FederationClient.get}. */
  get(request: FederationGet): Promise<SafeResponse> {
    return this.#client.get(request);
  }

  /** Asks also a server that failed too often, and a failure counts for nothing: to find out what is wrong with it. */
  getUncounted(request: FederationGet): Promise<SafeResponse> {
    return this.#uncounted.get(request);
  }

  /** As {@link ServerResolver.resolve}. */
  resolve(serverName: string, options?: ResolveOptions): Promise<ResolvedServer | undefined> {
    return this.#resolver.resolve(serverName, options);
  }

  /** Asks one place of a server without a signature, where {@link get} would go on to the next. Throws a `FetchError`. */
  askPlace(server: ResolvedServer, target: Target, { path, ...limits }: PlaceRequest): Promise<SafeResponse> {
    const { hostHeader, tlsName } = server;
    const via = { ...target, hostHeader, tlsName };
    return this.#safeFetch(urlOf(server, target, path), { ...limits, reach: "public", httpsOnly: true, via });
  }
}
