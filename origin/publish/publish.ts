import { formatMxc } from "../../shared/matrix/mxc.ts";
import type { ThumbnailSpec } from "../../shared/matrix/thumbnail_size.ts";
import type { LiveDescriptor } from "../../shared/tiers/descriptor.ts";
import { bodyKey, descriptorKey, thumbnailKey } from "../../shared/tiers/object_key.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import { timeout } from "../platform/time.ts";
import { SingleFlight, WorkQueue } from "../platform/work_queue.ts";
import type { EdgeBucket } from "../stores/bucket/edge_bucket.ts";
import type { Media } from "../stores/db/tables/media.ts";
import type { Thumbnail } from "../stores/db/tables/thumbnails.ts";
import type { FindDatastore } from "../stores/objects/datastore.ts";
import { LostObject } from "../stores/objects/store_trouble.ts";
import type { KeepsOrder } from "./order_check.ts";

/** What {@link makePublish} needs. */
export interface PublishParts {
  readonly bucket: EdgeBucket;
  readonly keepsOrder: KeepsOrder;
  readonly datastores: FindDatastore;
  /** The id of the datastore that is the edge bucket itself, if one is: its bodies need no copy. */
  readonly bucketDatastoreId: string | undefined;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "published">;
  /** How long one publication may take, in milliseconds. */
  readonly deadlineMs: number;
}

/** Tells the edge of media: see {@link makePublish}. Never throws; a publication that fails is logged, and the next miss tries again. */
export interface Publish {
  media(media: Media): Promise<void>;
  thumbnail(media: Media, thumbnail: Thumbnail, spec: ThumbnailSpec): Promise<void>;
}

/** Publications at the same time, at most, and how many wait for their turn: a bucket may be slow, and gone for hours. */
const AT_ONCE = 64;
const WAITING = 1_000;
/** How long writing one descriptor may take, in milliseconds. */
const DESCRIPTOR_MS = 30_000;

/** What of a body the edge needs: the row's facts and where it lies. */
type Body = Media["blob"];

/**
 * Fills the edge bucket after a miss: the body first, then the descriptor, each by the generation that was read with the
 * row, so that a deletion meanwhile wins (design, §2 rule 1 and 2). A thumbnail is visible only beside its media, so the
 * descriptor of the media is published with it, without its body where that is not there yet.
 *
 * A bounded number at once, and of large bodies as many as memory is set aside for (`EdgeBucket.putBody`): what is too many is
 * left to the next miss.
 */
export function makePublish(parts: PublishParts): Publish {
  const { bucket } = parts;
  const running = new SingleFlight<void>();
  const line = new WorkQueue({ atOnce: AT_ONCE, waiting: WAITING, full: () => new Error("too many are under way") });

  return {
    media: (media) =>
      attempt(`media ${formatMxc(media)}`, async (signal) => {
        const body = await publishBody(media.blob, signal);
        await publishDescriptor(descriptorKey(media), mediaDescriptor(media, body), signal);
      }),
    thumbnail: (media, thumbnail, spec) =>
      attempt(`thumbnail ${formatMxc(media)} ${thumbnail.suffix}`, async (signal) => {
        const body = await publishBody(thumbnail.blob, signal);
        await publishDescriptor(thumbnailKey(media, spec), thumbnailDescriptor(media, thumbnail, body), signal);
        await publishDescriptor(descriptorKey(media), mediaDescriptor(media, bodyOf(media.blob)), signal);
      }),
  };

  function attempt(name: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    return running.run(name, async () => {
      try {
        await line.run(async () => {
          if (await parts.keepsOrder()) await work(AbortSignal.timeout(parts.deadlineMs));
        });
      } catch (error) {
        parts.log.warn({ name, error }, "cannot publish to the edge bucket; the next miss tries again");
      }
    });
  }

  async function publishDescriptor(key: string, descriptor: LiveDescriptor, signal: AbortSignal): Promise<void> {
    const outcome = await bucket.writeDocument(key, descriptor, timeout(DESCRIPTOR_MS, signal));
    if (outcome === "written") parts.metrics.published("descriptor");
  }

  /** Where the body lies without a copy having to be made: known only when the datastore is the bucket. */
  function bodyOf(blob: Body): string | undefined {
    return blob.datastoreId === parts.bucketDatastoreId ? blob.location : undefined;
  }

  async function publishBody(blob: Body, signal: AbortSignal): Promise<string> {
    const inPlace = bodyOf(blob);
    if (inPlace !== undefined) return inPlace;
    const datastore = parts.datastores(blob.datastoreId);
    if (!datastore) throw new Error(`the configuration has no datastore "${blob.datastoreId}"`);
    const key = bodyKey(blob.sha256, blob.generation);
    await bucket.putBody(
      key,
      blob.size,
      async () => {
        const bytes = await datastore.open(blob, undefined, signal);
        if (!bytes) throw new LostObject(blob);
        return bytes;
      },
      signal,
    );
    parts.metrics.published("body");
    return key;
  }
}

function mediaDescriptor(media: Media, body: string | undefined): LiveDescriptor {
  return {
    v: 1,
    gen: media.generation,
    server_name: media.serverName,
    media_id: media.mediaId,
    sha256: media.blob.sha256,
    size: media.blob.size,
    type: media.contentType,
    ...(media.uploadName === undefined ? {} : { name: media.uploadName }),
    created: media.createdAt,
    ...(body === undefined ? {} : { body }),
    ...(media.quarantinedAt === undefined ? {} : { quarantined: true }),
    ...(media.frozen ? { frozen: true } : {}),
  };
}

function thumbnailDescriptor(media: Media, thumbnail: Thumbnail, body: string): LiveDescriptor {
  return {
    v: 1,
    gen: thumbnail.generation,
    server_name: media.serverName,
    media_id: media.mediaId,
    sha256: thumbnail.blob.sha256,
    size: thumbnail.blob.size,
    type: thumbnail.contentType,
    created: thumbnail.createdAt,
    body,
  };
}
