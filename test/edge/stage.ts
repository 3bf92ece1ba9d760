import { createHash } from "node:crypto";
import type { ThumbnailSpec } from "../../shared/matrix/thumbnail_size.ts";
import type { LiveDescriptor } from "../../shared/tiers/descriptor.ts";
import { bodyKey, descriptorKey, thumbnailKey } from "../../shared/tiers/object_key.ts";
import { type EdgeOptions, type RunningEdge, startEdge } from "../support/edge.ts";
import { HOP_SECRET, type OriginDouble, startOriginDouble } from "./origin_double.ts";

/** An edge in workerd, and as much of an origin as it can see. */
export interface Stage {
  readonly edge: RunningEdge;
  readonly origin: OriginDouble;
  /** Puts a media into the bucket, as the origin publishes it. */
  publish(media: PublishedMedia): Promise<LiveDescriptor>;
  close(): Promise<void>;
}

/** A media, or with `thumbnail` a thumbnail of it. What is not said has a default. */
export interface PublishedMedia {
  readonly mediaId: string;
  readonly bytes?: Buffer;
  readonly type?: string;
  readonly thumbnail?: ThumbnailSpec;
  readonly descriptor?: Partial<LiveDescriptor>;
  /** Only the descriptor, no body. */
  readonly bodiless?: boolean;
}

export const SERVER = "example.org";

/** The time at which every media of these tests was made. */
export const CREATED = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** The token that the origin of a stage says yes to, for the isolate to remember. */
export const TOKEN = "good-token";

/** Starts both. Call `close` at the end. */
export async function openStage(options: Partial<EdgeOptions> = {}): Promise<Stage> {
  const origin = await startOriginDouble();
  origin.verdicts.set(TOKEN, { scope: "memory", verdict: {} });
  const edge = await startEdge({ originUrl: origin.url, hopSecret: HOP_SECRET, ...options });
  return {
    edge,
    origin,
    publish: (media) => publishTo(edge.bucket, media),
    async close() {
      await edge.dispose();
      await origin.close();
    },
  };
}

/** Puts a media into a bucket, body first. */
export async function publishTo(bucket: RunningEdge["bucket"], media: PublishedMedia): Promise<LiveDescriptor> {
  const mxc = { serverName: SERVER, mediaId: media.mediaId };
  const bytes = media.bytes ?? Buffer.from(`the bytes of ${media.mediaId}`);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const descriptor: LiveDescriptor = {
    v: 1,
    gen: 1,
    server_name: mxc.serverName,
    media_id: mxc.mediaId,
    sha256,
    size: bytes.length,
    type: media.type ?? "image/png",
    created: CREATED,
    body: bodyKey(sha256, 1),
    ...media.descriptor,
  };
  if (!media.bodiless) await bucket.put(bodyKey(sha256, 1), bytes);
  const key = media.thumbnail ? thumbnailKey(mxc, media.thumbnail) : descriptorKey(mxc);
  await bucket.put(key, JSON.stringify(descriptor));
  return descriptor;
}

/** The authenticated path of a download. */
export function v1(mediaId: string, fileName?: string): string {
  return `/_matrix/client/v1/media/download/${SERVER}/${mediaId}${fileName === undefined ? "" : `/${fileName}`}`;
}

/** The legacy path of a download. */
export function v3(mediaId: string): string {
  return `/_matrix/media/v3/download/${SERVER}/${mediaId}`;
}
