import type { Clock } from "../../platform/clock.ts";
import type { FederationFetch } from "../federation/federation_request.ts";
import { isCountersigned, KeyAnswerError, type KeySet, readKeyAnswer, readNotaryAnswer } from "./key_answer.ts";

/** How long a server is waited for, in milliseconds. */
export interface KeyPatience {
  /** For each request but its discovery. */
  readonly requestMs: number;
  /** For everything, notaries and discovery too. */
  readonly wholeMs: number;
}

/** Fetches a server's keys, from itself or, where that fails, from the notaries. Throws what went wrong with the server itself. */
export type FetchKeys = (serverName: string, patience: KeyPatience) => Promise<KeySet>;

const MAX_BYTES = 131_072;

/** Makes the {@link FetchKeys}. `notaryKeys` finds the keys of a notary without asking another one. */
export function makeFetchKeys(parts: {
  federationFetch: FederationFetch;
  clock: Clock;
  notaries: readonly string[];
  notaryKeys: (notary: string, patience: KeyPatience) => Promise<KeySet>;
}): FetchKeys {
  return async (serverName, patience) => {
    const limits = { ...patience, signal: AbortSignal.timeout(patience.wholeMs) };
    try {
      return await fetchDirect(serverName, limits);
    } catch (error) {
      for (const notary of parts.notaries) {
        const keys = await fetchFromNotary(serverName, notary, limits).catch(() => undefined);
        if (keys) return keys;
      }
      throw error;
    }
  };

  async function fetchDirect(serverName: string, limits: Limits): Promise<KeySet> {
    return await readKeyAnswer(await get(serverName, "/_matrix/key/v2/server", limits), serverName, parts.clock());
  }

  async function fetchFromNotary(serverName: string, notary: string, limits: Limits): Promise<KeySet | undefined> {
    if (notary === serverName) return undefined;
    const path = `/_matrix/key/v2/query/${encodeURIComponent(serverName)}?minimum_valid_until_ts=${parts.clock()}`;
    const trusted = await parts.notaryKeys(notary, limits);
    for (const entry of readNotaryAnswer(await get(notary, path, limits))) {
      const keys = await readKeyAnswer(entry, serverName, parts.clock()).catch(() => undefined);
      if (keys && (await isCountersigned(entry, trusted))) return keys;
    }
    return undefined;
  }

  async function get(serverName: string, target: string, { wholeMs, requestMs, signal }: Limits): Promise<unknown> {
    const limits = { maxBytes: MAX_BYTES, timeoutMs: wholeMs, requestMs, signal };
    const response = await parts.federationFetch({ serverName, target, ...limits });
    if (response.status === 200) return await response.json();
    await response.body.cancel();
    throw new KeyAnswerError(`The request for keys was answered with status ${response.status}`);
  }
}

type Limits = KeyPatience & { readonly signal: AbortSignal };
