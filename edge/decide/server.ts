import { importPublicKey, type SigningKey } from "../../shared/matrix/signing.ts";
import { readServerCredentials, verifySignatures } from "../../shared/matrix/x_matrix.ts";
import type { DomainDocument, ServingPolicy } from "../../shared/tiers/domain_policy.ts";
import { domainKey, signingKeyKey } from "../../shared/tiers/object_key.ts";
import type { ServerKeyDocument } from "../../shared/tiers/server_key.ts";
import { type DocumentCache, documentOf } from "../cache/document_cache.ts";
import type { KeepAlive } from "../cache/flight.ts";
import { Lru } from "../cache/lru.ts";
import type { EdgeRequest } from "../request.ts";
import type { Clock } from "../steady_clock.ts";

/** What judging other servers takes from outside. */
export interface RemoteServersOptions {
  readonly clock: Clock;
  /** The `k/` documents of the bucket. */
  readonly keys: DocumentCache<ServerKeyDocument>;
  /** The `p/` documents of the bucket. */
  readonly domains: DocumentCache<DomainDocument>;
}

/** Another server that has proven itself: which of our servers it addressed, and that one's rules. */
export interface RemoteServer {
  readonly destination: string;
  readonly policy: ServingPolicy;
}

/** Imported keys kept in one isolate. They may be shared by requests, and a key never changes. */
const MAX_IMPORTED = 2_000;

/**
 * Judges federation requests by the keys that the origin has fetched, checked and put into the bucket: the edge finds and asks
 * no server itself. A verdict is never remembered (the signature holds no time), only what it rests on.
 */
export class RemoteServers {
  readonly #options: RemoteServersOptions;
  readonly #imported = new Lru<SigningKey>(MAX_IMPORTED);

  constructor(options: RemoteServersOptions) {
    this.#options = options;
  }

  /**
   * The server that sent a request; `undefined` where only the origin can tell: a key or destination that is not known here, a request
   * without destination, a bucket that cannot be read. Errors: 401 `M_UNAUTHORIZED` for a signature that is wrong by a believed key.
   */
  async judge({ request, target, keepAlive }: EdgeRequest): Promise<RemoteServer | undefined> {
    const header = request.headers.get("authorization");
    const credentials = readServerCredentials(header === null ? [] : [header]);
    const { origin, destination, signatures } = credentials;
    if (destination === undefined) return undefined;
    const [domain, ...found] = await Promise.all([
      this.#findDomain(destination, keepAlive),
      ...signatures.map((one) => this.#findKey(origin, one.key, keepAlive)),
    ]);
    if (!domain || found.includes(undefined)) return undefined;
    const byId = new Map(signatures.map((one, index) => [one.key, found[index]]));
    const signed = { method: request.method, uri: target, origin, destination };
    await verifySignatures(signed, credentials, async (keyId) => byId.get(keyId));
    return { destination, policy: domain.policy };
  }

  async #findKey(serverName: string, keyId: string, keepAlive: KeepAlive): Promise<SigningKey | undefined> {
    const found = documentOf(await this.#options.keys.find(signingKeyKey(serverName, keyId), keepAlive));
    const isItsOwn = found?.server_name === serverName && found.key_id === keyId;
    return found && isItsOwn && found.exp > this.#options.clock() ? await this.#importOnce(found.key) : undefined;
  }

  async #findDomain(serverName: string, keepAlive: KeepAlive): Promise<DomainDocument | undefined> {
    const found = documentOf(await this.#options.domains.find(domainKey(serverName), keepAlive));
    return found?.server_name === serverName && found.exp > this.#options.clock() ? found : undefined;
  }

  async #importOnce(base64: string): Promise<SigningKey | undefined> {
    const kept = this.#imported.get(base64);
    if (kept) return kept;
    const key = await importPublicKey(base64);
    if (key) this.#imported.set(base64, key);
    return key;
  }
}
