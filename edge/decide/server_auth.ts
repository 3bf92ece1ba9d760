import { importPublicKey, type SigningKey } from "../../shared/matrix/signing.ts";
import { readServerCredentials, verifySignatures } from "../../shared/matrix/x_matrix.ts";
import type { DomainDocument, ServingPolicy } from "../../shared/tiers/domain_policy.ts";
import { domainKey, signingKeyKey } from "../../shared/tiers/object_key.ts";
import type { ServerKeyDocument } from "../../shared/tiers/server_key.ts";
import type { DocumentCache } from "../cache/document_cache.ts";
import { Lru } from "../cache/lru.ts";
import type { Clock } from "../steady_clock.ts";
import type { Visit } from "../visit.ts";

/** What {@link makeJudgeServer} needs. */
export interface JudgeServerParts {
  readonly clock: Clock;
  /** The `k/` documents of the bucket. */
  readonly keys: DocumentCache<ServerKeyDocument>;
  /** The `p/` documents of the bucket. */
  readonly domains: DocumentCache<DomainDocument>;
}

/** Another server that has proven itself, and which of our servers it addressed. */
export interface Visitor {
  readonly destination: string;
  readonly policy: ServingPolicy;
}

/** Judges which server sent a request: see {@link makeJudgeServer}. `undefined`: only the origin can tell. */
export type JudgeServer = (visit: Visit) => Promise<Visitor | undefined>;

/** Imported keys kept in one isolate. They may be shared by requests, and a key never changes. */
const MAX_IMPORTED = 2_000;

/**
 * Judges federation requests by the keys that the origin has fetched, checked and put into the bucket: the edge finds and asks
 * no server itself. A verdict is never remembered (the signature holds no time), only what it rests on.
 *
 * Whatever is not known here, a key, the destination, a request without destination, a bucket that cannot be read, is the
 * origin's to judge. Errors: 401 `M_UNAUTHORIZED` for a signature that is wrong by a key that is believed.
 */
export function makeJudgeServer({ clock, keys, domains }: JudgeServerParts): JudgeServer {
  const imported = new Lru<SigningKey>(MAX_IMPORTED);

  async function importOnce(base64: string): Promise<SigningKey | undefined> {
    const kept = imported.get(base64);
    if (kept) return kept;
    const key = await importPublicKey(base64);
    if (key) imported.set(base64, key);
    return key;
  }

  async function findKey(serverName: string, keyId: string, visit: Visit): Promise<SigningKey | undefined> {
    const found = await keys.read(signingKeyKey(serverName, keyId), visit.keepAlive).catch(() => undefined);
    const isItsOwn = found?.server_name === serverName && found.key_id === keyId;
    return found && isItsOwn && found.exp > clock() ? await importOnce(found.key) : undefined;
  }

  async function findDomain(serverName: string, visit: Visit): Promise<DomainDocument | undefined> {
    const found = await domains.read(domainKey(serverName), visit.keepAlive).catch(() => undefined);
    return found?.server_name === serverName && found.exp > clock() ? found : undefined;
  }

  return async (visit) => {
    const { request, target } = visit;
    const header = request.headers.get("authorization");
    const credentials = readServerCredentials(header === null ? [] : [header]);
    const { origin, destination, signatures } = credentials;
    if (destination === undefined) return undefined;
    const [domain, ...found] = await Promise.all([
      findDomain(destination, visit),
      ...signatures.map((one) => findKey(origin, one.key, visit)),
    ]);
    if (!domain || found.includes(undefined)) return undefined;
    const byId = new Map(signatures.map((one, index) => [one.key, found[index]]));
    const signed = { method: request.method, uri: target, origin, destination };
    await verifySignatures(signed, credentials, async (keyId) => byId.get(keyId));
    return { destination, policy: domain.policy };
  };
}
