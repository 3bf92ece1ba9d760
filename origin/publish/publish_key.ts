import { LRUCache } from "lru-cache";
import type { DomainDocument, ServingPolicy } from "../../shared/tiers/domain_policy.ts";
import { domainKey, signingKeyKey } from "../../shared/tiers/object_key.ts";
import type { ServerKeyDocument } from "../../shared/tiers/server_key.ts";
import type { ServerKey } from "../matrix/keys/server_keys.ts";
import type { Clock, SteadyClock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import { SingleFlight } from "../platform/work_queue.ts";
import type { EdgeBucket } from "../stores/bucket/edge_bucket.ts";

/** What {@link makePublishKey} needs. */
export interface PublishKeyParts {
  readonly bucket: Pick<EdgeBucket, "writeDocument">;
  readonly clock: Clock;
  readonly steady: SteadyClock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "published">;
  /** The generation of what is about to be said of a domain. */
  readonly drawGeneration: () => Promise<number>;
  /** How long one write may take, its tries together, in milliseconds. */
  readonly deadlineMs: number;
}

/** What the edge must know of a homeserver to answer other servers on its behalf. */
export interface PublishedDomain {
  readonly serverName: string;
  readonly policy: ServingPolicy;
}

/** Tells the edge of a server that asks for media: see {@link makePublishKey}. Never throws; what fails is tried again at the next miss. */
export type PublishKey = (keys: readonly ServerKey[], domain: PublishedDomain) => Promise<void>;

/** The edge believes what it is told of a domain for so long: a change of the configuration is known everywhere after it. */
const DOMAIN_TTL_MS = 60 * 60_000;

/** What was written as long ago as this is written again when it is missed, should the bucket have lost it. */
const REPEAT_MS = 5 * 60_000;

const MAX_REMEMBERED = 10_000;

/**
 * Lets the edge verify the next request of a server by itself: the key that proved this one, and that the domain it addressed is
 * ours. A key is believed there for as long as it is here without asking its server again, never longer, so that one that was
 * withdrawn is good for no more than that even where nobody notices. No verdict on any request is published.
 */
export function makePublishKey(parts: PublishKeyParts): PublishKey {
  const written = new LRUCache<string, { text: string; atMs: number }>({ max: MAX_REMEMBERED });
  const running = new SingleFlight<void>();

  return async function publishKey(keys, domain) {
    await Promise.all([...keys.map(publishServerKey), publishDomain(domain)]);
  };

  async function publishServerKey(found: ServerKey): Promise<void> {
    const { serverName, keyId, publicKey, generation, freshUntilMs } = found;
    // Its server is being asked again: the next request brings what came of it.
    if (parts.clock() >= freshUntilMs) return;
    const document: ServerKeyDocument = {
      v: 1,
      gen: generation,
      server_name: serverName,
      key_id: keyId,
      key: publicKey,
      exp: freshUntilMs,
    };
    await publish(signingKeyKey(serverName, keyId), JSON.stringify(document), async () => document);
  }

  async function publishDomain({ serverName, policy }: PublishedDomain): Promise<void> {
    const document = { v: 1, server_name: serverName, policy } as const;
    const exp = parts.clock() + DOMAIN_TTL_MS;
    await publish(domainKey(serverName), JSON.stringify(document), async (): Promise<DomainDocument> => {
      return { ...document, gen: await parts.drawGeneration(), exp };
    });
  }

  /** `text` is what has to change before a document is written again at once. */
  async function publish(key: string, text: string, make: () => Promise<{ gen: number }>): Promise<void> {
    const last = written.get(key);
    if (last?.text === text && parts.steady() - last.atMs < REPEAT_MS) return;
    await running.run(`${key} ${text}`, async () => {
      const atMs = parts.steady();
      try {
        await parts.bucket.writeDocument(key, await make(), AbortSignal.timeout(parts.deadlineMs));
        parts.metrics.published("key");
        written.set(key, { text, atMs });
      } catch (error) {
        parts.log.warn({ key, error }, "cannot publish to the edge bucket; the next miss tries again");
      }
    });
  }
}
