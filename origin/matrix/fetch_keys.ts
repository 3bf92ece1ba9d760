import type { FederationFetch } from "./federation_request.ts";
import { isCountersigned, KeyAnswerError, type KeySet, readKeyAnswer, readNotaryAnswer } from "./key_answer.ts";

/** Fetches a server's keys, from itself or, where that fails, from the notaries. Throws what went wrong with the server itself. */
export type FetchKeys = (serverName: string) => Promise<KeySet>;

const MAX_BYTES = 131_072;
const TIMEOUT_MS = 15_000;

/** Makes the {@link FetchKeys}. `notaryKeys` finds the keys of a notary without asking another one. */
export function makeFetchKeys(parts: {
  federationFetch: FederationFetch;
  clock: () => number;
  notaries: readonly string[];
  notaryKeys: (notary: string) => Promise<KeySet>;
}): FetchKeys {
  return async (serverName) => {
    try {
      return await fetchDirect(serverName);
    } catch (error) {
      for (const notary of parts.notaries) {
        const keys = await fetchFromNotary(serverName, notary).catch(() => undefined);
        if (keys) return keys;
      }
      throw error;
    }
  };

  async function fetchDirect(serverName: string): Promise<KeySet> {
    return await readKeyAnswer(await get(serverName, "/_matrix/key/v2/server"), serverName, parts.clock());
  }

  async function fetchFromNotary(serverName: string, notary: string): Promise<KeySet | undefined> {
    if (notary === serverName) return undefined;
    const path = `/_matrix/key/v2/query/${encodeURIComponent(serverName)}?minimum_valid_until_ts=${parts.clock()}`;
    const trusted = await parts.notaryKeys(notary);
    for (const entry of readNotaryAnswer(await get(notary, path))) {
      const keys = await readKeyAnswer(entry, serverName, parts.clock()).catch(() => undefined);
      if (keys && (await isCountersigned(entry, trusted))) return keys;
    }
    return undefined;
  }

  async function get(serverName: string, target: string): Promise<unknown> {
    const response = await parts.federationFetch({ serverName, target, maxBytes: MAX_BYTES, timeoutMs: TIMEOUT_MS });
    if (response.status === 200) return await response.json();
    await response.body.cancel();
    throw new KeyAnswerError(`The request for keys was answered with status ${response.status}`);
  }
}
