import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type ThumbnailSpec, thumbnailSuffix } from "../../../shared/thumbnail_size.ts";
import type { Imager } from "../../imaging/imager.ts";
import type { Clock } from "../../platform/clock.ts";
import type { MakeId } from "../../platform/ids.ts";
import type { Metrics } from "../../platform/metrics.ts";
import { claimBlob } from "../../stores/db/blobs.ts";
import type { Database, Queryable } from "../../stores/db/database.ts";
import type { Media } from "../../stores/db/media.ts";
import { insertThumbnail, type Thumbnail } from "../../stores/db/thumbnails.ts";
import type { Domain } from "../domain.ts";
import type { BringLocal } from "../download/local_file.ts";
import { notFound } from "../download/not_found.ts";
import type { StoreOnce } from "../upload/store_once.ts";

/** What {@link makeGenerate} needs. `deadlineMs` bounds the whole making of one thumbnail. */
export interface GenerateParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly bringLocal: BringLocal;
  readonly imager: Imager;
  readonly storeOnce: StoreOnce;
  readonly makeTemporaryId: MakeId;
  readonly metrics: Pick<Metrics, "thumbnailMade">;
  readonly deadlineMs: number;
}

/** Makes one thumbnail of a media and stores it: see {@link makeGenerate}. */
export type MakeThumbnail = (domain: Domain, media: Media, spec: ThumbnailSpec) => Promise<Thumbnail>;

/**
 * Makes a thumbnail: bring the source to a local file, render it in a decoder process, store the result like any other
 * body, and record it beside its media. Where the source already fits, the thumbnail is the source's own body.
 */
export function makeGenerate(parts: GenerateParts): MakeThumbnail {
  return async function generate(domain, media, spec) {
    const signal = AbortSignal.timeout(parts.deadlineMs);
    const datastore = await domain.datastoreFor("thumbnails");
    const output = join(datastore.stagingFolder, `${parts.makeTemporaryId()}.thumbnail`);
    const source = await parts.bringLocal(media.blob, datastore.stagingFolder, signal);
    try {
      await mkdir(datastore.stagingFolder, { recursive: true });
      const { stillFrame, maxAnimateBytes } = domain.thumbnails;
      const rendered = await parts.imager.render(
        { input: source.path, output, spec, stillFrame, allowAnimated: allowsAnimated(media, maxAnimateBytes) },
        signal,
      );
      if (rendered.kind === "original_fits") return await recordOriginal(media, spec, rendered.type);
      parts.metrics.thumbnailMade(spec.method, rendered.animated);
      return await parts.storeOnce(
        { path: output, size: rendered.size, sha256: rendered.sha256 },
        {
          datastore: async () => datastore,
          signal,
          record: (tx) => record(tx, media, spec, rendered),
        },
      );
    } finally {
      await Promise.all([source.dispose(), rm(output, { force: true })]);
    }
  };

  async function recordOriginal(media: Media, spec: ThumbnailSpec, type: string): Promise<Thumbnail> {
    return await parts.db.transaction(async (tx) => {
      if (!(await claimBlob(tx, media.blob.sha256))) throw notFound();
      return await record(tx, media, spec, { sha256: media.blob.sha256, type });
    });
  }

  async function record(
    tx: Queryable,
    media: Media,
    spec: ThumbnailSpec,
    made: { sha256: string; type: string },
  ): Promise<Thumbnail> {
    const { serverName, mediaId } = media;
    const thumbnail = await insertThumbnail(tx, {
      ...spec,
      serverName,
      mediaId,
      suffix: thumbnailSuffix(spec),
      sha256: made.sha256,
      contentType: made.type,
      createdAt: parts.clock(),
    });
    // The media was deleted while its thumbnail was being made.
    if (!thumbnail) throw notFound();
    return thumbnail;
  }
}

function allowsAnimated(media: Media, maxAnimateBytes: number): boolean {
  return maxAnimateBytes <= 0 || media.blob.size <= maxAnimateBytes;
}
