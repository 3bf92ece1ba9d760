import type { AddressGuard } from "./address_guard.ts";
import type { ConnectRules, Dial } from "./connect.ts";
import { ConnectionPools, type PoolLimits } from "./connection_pools.ts";
import { systemAddresses } from "./dns.ts";
import { discard, headerOf, respond, type SafeResponse } from "./fetch_answer.ts";
import { FetchError, toFetchError } from "./fetch_error.ts";
import { type Hop, nextHop, type Reach, requireUrl, type Via } from "./redirects.ts";
import { type Sending, type Sent, sendHop } from "./send_hop.ts";

/** One outbound request. All times in milliseconds. */
export interface FetchOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly reach: Reach;
  /** For everything: connection, redirects, headers, and the body to its last byte. */
  readonly timeoutMs: number;
  /** Until the headers of each answer have arrived; default: 30 s, within `timeoutMs`. */
  readonly headersTimeoutMs?: number;
  /** Between two pieces of the body; default: 30 s. */
  readonly idleTimeoutMs?: number;
  /** Bytes of body, counted as they arrive. */
  readonly maxBytes: number;
  /** Redirects to follow. Default 0: the redirecting answer is the answer. One too many is an error. */
  readonly redirects?: number;
  /** Refuse http URLs, also as the target of a redirect. */
  readonly httpsOnly?: boolean;
  readonly signal?: AbortSignal;
  readonly via?: Via;
}

/** Every outbound request of the origin goes through one of these. Fails with a {@link FetchError}; every HTTP status is an answer. */
export type SafeFetch = (url: string | URL, options: FetchOptions) => Promise<SafeResponse>;

/** The bounds of a {@link SafeFetch}; everything with a default may be left out. */
export interface SafeFetchParts extends Partial<PoolLimits> {
  /** Decides which addresses `reach: "public"` may dial. */
  readonly allows: AddressGuard;
  /** The addresses of names that others choose. */
  readonly addresses: (hostname: string) => Promise<string[]>;
  /** The addresses of names from the configuration; default: by the machine's own rules. */
  readonly operatorAddresses?: (hostname: string) => Promise<string[]>;
  readonly userAgent: string;
  /** Default 10 000. */
  readonly connectTimeoutMs?: number;
  /** Requests under way at once, default 1024; more fail as `busy`. */
  readonly maxRequests?: number;
  /** Certificates to trust instead of the built-in ones (PEM). */
  readonly ca?: string;
  /** Accept any certificate (`urlPreviews.previewUnsafeCertificates`); the guard stays in force. */
  readonly unsafeCertificates?: boolean;
}

const DEFAULT_WAIT_MS = 30_000;

/**
 * Makes the one door to the network. Connections are kept and bounded; the address guard looks at every address that is
 * dialled, at each redirect. Compressed answers are refused, since only plain bytes can be counted before they exist; and all
 * bytes of an answer are counted, not only those of its body.
 */
export function makeSafeFetch(parts: SafeFetchParts): SafeFetch & { close(): Promise<void> } {
  const { connectionsPerHost = 16, maxHosts = 512, idleMs = 10_000, maxRequests = 1024 } = parts;
  const pools = new ConnectionPools({ connectionsPerHost, maxHosts, idleMs });
  const rules = connectRules(parts);
  let underWay = 0;

  async function safeFetch(url: string | URL, options: FetchOptions): Promise<SafeResponse> {
    const first = firstHop(url, options, parts.userAgent);
    if (underWay >= maxRequests) throw new FetchError("busy", `${underWay} requests are under way`);
    underWay += 1;
    const deadline = new Deadline(options.timeoutMs, options.signal);
    const over = once(() => {
      underWay -= 1;
      deadline.done();
    });
    try {
      return await follow(first, options, deadline.signal, over);
    } catch (error) {
      over();
      throw deadline.signal.aborted ? toFetchError(deadline.signal.reason) : toFetchError(error);
    }
  }

  async function follow(
    first: Hop,
    options: FetchOptions,
    signal: AbortSignal,
    over: () => void,
  ): Promise<SafeResponse> {
    const redirects = options.redirects ?? 0;
    let hop = first;
    for (let followed = 0; ; followed += 1) {
      const { answer, release } = await send(hop, options, signal);
      const next = redirects > 0 ? nextHop(hop, answer.statusCode, headerOf(answer, "location")) : undefined;
      const both = once(() => [release(), over()]);
      if (!next) return respond(hop, answer, options.maxBytes, both);
      discard(answer, release);
      if (followed === redirects) throw new FetchError("redirect", `More than ${redirects} redirects`);
      requireUrl(next.url, options.httpsOnly);
      hop = next;
    }
  }

  async function send(hop: Hop, options: FetchOptions, signal: AbortSignal): Promise<Sent> {
    const { url, via, reach } = hop;
    signal.throwIfAborted();
    const sending: Sending = {
      place: {
        key: JSON.stringify([reach, url.origin, via]),
        origin: url.origin,
        dial: dialOf(url, via),
        rules: rules[reach],
      },
      signal,
      headersTimeoutMs: Math.min(options.headersTimeoutMs ?? DEFAULT_WAIT_MS, options.timeoutMs),
      idleTimeoutMs: Math.min(options.idleTimeoutMs ?? DEFAULT_WAIT_MS, options.timeoutMs),
      maxBytes: options.maxBytes,
    };
    return await sendHop(hop, sending, pools);
  }

  return Object.assign(safeFetch, { close: () => pools.close() });
}

/** One signal for a whole request: aborts when the time is over or when the caller's signal does, always with a {@link FetchError}. */
class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #caller: AbortSignal | undefined;

  constructor(timeoutMs: number, caller: AbortSignal | undefined) {
    this.#caller = caller;
    this.#timer = setTimeout(() => {
      this.#controller.abort(new FetchError("timeout", `No complete answer within ${timeoutMs} ms`));
    }, timeoutMs);
    caller?.addEventListener("abort", this.#onCaller, { once: true });
    if (caller?.aborted) this.#onCaller();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The request is over: nothing aborts any more, and nothing is kept. */
  done(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#onCaller);
  }

  readonly #onCaller = () => {
    this.#controller.abort(new FetchError("aborted", "The caller gave up", this.#caller?.reason));
  };
}

/** `work`, but only the first time. */
function once(work: () => unknown): () => void {
  let called = false;
  return () => {
    if (!called) work();
    called = true;
  };
}

function connectRules(parts: SafeFetchParts): Record<Reach, ConnectRules> {
  const common = {
    timeoutMs: parts.connectTimeoutMs ?? 10_000,
    ...(parts.ca === undefined ? {} : { ca: parts.ca }),
  };
  return {
    operator: { ...common, addresses: parts.operatorAddresses ?? systemAddresses, allows: () => true },
    public: {
      ...common,
      addresses: parts.addresses,
      allows: parts.allows,
      unsafeCertificates: parts.unsafeCertificates ?? false,
    },
  };
}

function firstHop(url: string | URL, options: FetchOptions, userAgent: string): Hop {
  const headers = Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]);
  return {
    url: requireUrl(url, options.httpsOnly),
    method: options.method ?? "GET",
    headers: { "user-agent": userAgent, accept: "*/*", ...Object.fromEntries(headers) },
    body: options.body,
    reach: options.reach,
    via: options.via,
  };
}

function dialOf(url: URL, via: Via | undefined): Dial {
  const secure = url.protocol === "https:";
  const port = Number(url.port) || (secure ? 443 : 80);
  const { host, tlsName } = via ?? { host: url.hostname, tlsName: url.hostname };
  const name = tlsName.replace(/^\[(.*)\]$/, "$1");
  return { host, port: via?.port ?? port, ...(secure ? { tlsName: name } : {}) };
}
