import type { Clock } from "../../platform/clock.ts";
import { timeout } from "../../platform/time.ts";
import type { Federation } from "../federation/federation.ts";
import { isCountersigned, KeyAnswerError, type KeySet, readKeyAnswer, readNotaryAnswer } from "./key_answer.ts";

/** How long a server is waited for, in milliseconds. */
export interface KeyTimeouts {
  /** For each request but its discovery. */
  readonly requestMs: number;
  /** For everything, notaries and discovery too. */
  readonly wholeMs: number;
}

const MAX_BYTES = 131_072;

/** What keys are fetched with. */
export interface KeyFetcherParts {
  readonly federation: Pick<Federation, "get">;
  readonly clock: Clock;
  readonly notaries: readonly string[];
  /** Finds the keys of a notary without asking another one. */
  readonly notaryKeys: (notary: string, timeouts: KeyTimeouts) => Promise<KeySet>;
}

/** Fetches the keys of servers, from themselves or, where that fails, from the notaries. */
export class KeyFetcher {
  readonly #parts: KeyFetcherParts;

  constructor(parts: KeyFetcherParts) {
    this.#parts = parts;
  }

  /** The keys of a server. Throws what went wrong with the server itself. */
  async fetch(serverName: string, timeouts: KeyTimeouts): Promise<KeySet> {
    const limits = { ...timeouts, signal: timeout(timeouts.wholeMs) };
    try {
      return await this.#fetchDirect(serverName, limits);
    } catch (error) {
      for (const notary of this.#parts.notaries) {
        const keys = await this.#fetchFromNotary(serverName, notary, limits).catch(() => undefined);
        if (keys) return keys;
      }
      throw error;
    }
  }

  /** The keys of a server, of itself only. */
  async fetchDirect(serverName: string, timeouts: KeyTimeouts): Promise<KeySet> {
    return await this.#fetchDirect(serverName, { ...timeouts, signal: timeout(timeouts.wholeMs) });
  }

  async #fetchDirect(serverName: string, limits: Limits): Promise<KeySet> {
    const answer = await this.#get(serverName, "/_matrix/key/v2/server", limits);
    return await readKeyAnswer(answer, serverName, this.#parts.clock());
  }

  async #fetchFromNotary(serverName: string, notary: string, limits: Limits): Promise<KeySet | undefined> {
    if (notary === serverName) return undefined;
    const { clock, notaryKeys } = this.#parts;
    const path = `/_matrix/key/v2/query/${encodeURIComponent(serverName)}?minimum_valid_until_ts=${clock()}`;
    const trusted = await notaryKeys(notary, limits);
    for (const entry of readNotaryAnswer(await this.#get(notary, path, limits))) {
      const keys = await readKeyAnswer(entry, serverName, clock()).catch(() => undefined);
      if (keys && (await isCountersigned(entry, trusted))) return keys;
    }
    return undefined;
  }

  async #get(serverName: string, target: string, { wholeMs, requestMs, signal }: Limits): Promise<unknown> {
    const limits = { maxBytes: MAX_BYTES, timeoutMs: wholeMs, requestMs, signal };
    const response = await this.#parts.federation.get({ serverName, target, ...limits });
    if (response.status === 200) return await response.json();
    await response.body.cancel();
    throw new KeyAnswerError(`The request for keys was answered with status ${response.status}`);
  }
}

type Limits = KeyTimeouts & { readonly signal: AbortSignal };
