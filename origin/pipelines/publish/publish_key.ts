import { LRUCache } from "lru-cache";
import { domainKey, signingKeyKey } from "../../../shared/object_key.ts";
import type { DomainDocument, ServerKeyDocument } from "../../../shared/server_key_document.ts";
import type { ServerKey } from "../../matrix/server_keys.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import type { Metrics } from "../../platform/metrics.ts";
import { SingleFlight } from "../../platform/single_flight.ts";
import type { EdgeBucket } from "../../stores/edge/edge_bucket.ts";
import type { Domain } from "../domain.ts";

/** What {@link makePublishKey} needs. */
export interface PublishKeyParts {
  readonly bucket: Pick<EdgeBucket, "writeDocument">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "published">;
  /** The generation of what is about to be written. */
  readonly drawGeneration: () => Promise<number>;
  /** How long one write may take, its tries together, in milliseconds. */
  readonly deadlineMs: number;
}

/** Tells the edge of a server that asks for media: see {@link makePublishKey}. Never throws; what fails is tried again at the next miss. */
export type PublishKey = (keys: readonly ServerKey[], domain: Pick<Domain, "serverName" | "policy">) => Promise<void>;

/** The edge believes what it is told of a domain for so long: a change of the configuration is known everywhere after it. */
const DOMAIN_TTL_MS = 60 * 60_000;

/** What was written as long ago as this is written again when it is missed, should the bucket have lost it. */
const REPEAT_MS = 5 * 60_000;

const MAX_REMEMBERED = 10_000;

/**
 * Lets the edge verify the next request of a server by itself: the key that proved this one, and that the domain it addressed is
 * ours. A key is published until the end of the validity that was checked here, never longer; no verdict on any request is.
 */
export function makePublishKey(parts: PublishKeyParts): PublishKey {
  const written = new LRUCache<string, { text: string; atMs: number }>({ max: MAX_REMEMBERED });
  const running = new SingleFlight<void>();

  return async function publishKey(keys, domain) {
    await Promise.all([...keys.map(publishServerKey), publishDomain(domain)]);
  };

  async function publishServerKey({ serverName, keyId, publicKey, validUntilMs }: ServerKey): Promise<void> {
    const document = {
      v: 1,
      server_name: serverName,
      key_id: keyId,
      key: publicKey,
      valid_until: validUntilMs,
    } as const;
    const text = JSON.stringify(document);
    await publish(signingKeyKey(serverName, keyId), text, (gen): ServerKeyDocument => ({ ...document, gen }));
  }

  async function publishDomain({ serverName, policy }: Pick<Domain, "serverName" | "policy">): Promise<void> {
    const document = { v: 1, server_name: serverName, policy } as const;
    const exp = parts.clock() + DOMAIN_TTL_MS;
    const text = JSON.stringify(document);
    await publish(domainKey(serverName), text, (gen): DomainDocument => ({ ...document, gen, exp }));
  }

  /** `text` is what has to change before a document is written again at once. */
  async function publish(key: string, text: string, make: (generation: number) => { gen: number }): Promise<void> {
    const last = written.get(key);
    if (last?.text === text && parts.clock() - last.atMs < REPEAT_MS) return;
    await running.run(`${key} ${text}`, async () => {
      const atMs = parts.clock();
      try {
        const document = make(await parts.drawGeneration());
        await parts.bucket.writeDocument(key, document, AbortSignal.timeout(parts.deadlineMs));
        parts.metrics.published("key");
        written.set(key, { text, atMs });
      } catch (error) {
        parts.log.warn({ key, error }, "cannot publish to the edge bucket; the next miss tries again");
      }
    });
  }
}
