import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isFailure } from "../../../shared/matrix/failure.ts";
import { type ThumbnailSpec, thumbnailSuffix } from "../../../shared/matrix/thumbnail_size.ts";
import type { Domain } from "../../domains/domain.ts";
import type { Imager, RenderedImage } from "../../imaging/imager.ts";
import type { Clock } from "../../platform/clock.ts";
import type { MakeId } from "../../platform/ids.ts";
import type { Metrics } from "../../platform/metrics.ts";
import { timeout } from "../../platform/time.ts";
import type { Database, Queryable } from "../../stores/db/database.ts";
import { claimBlob } from "../../stores/db/tables/blobs.ts";
import type { Media } from "../../stores/db/tables/media.ts";
import { insertThumbnail, type Thumbnail } from "../../stores/db/tables/thumbnails.ts";
import type { Datastore, FindDatastore } from "../../stores/objects/datastore.ts";
import { cannotStore } from "../../stores/objects/store_trouble.ts";
import { notFound, servableBlob } from "../download/find_servable.ts";
import type { BringLocal } from "../download/local_file.ts";
import type { StoreOnce } from "../upload/store_once.ts";
import type { Turn } from "./shared_making.ts";
import type { UnstoredThumbnail, UnstoredThumbnails } from "./unstored_thumbnails.ts";

/** What {@link makeGenerate} needs. `deadlineMs` bounds the whole making of one thumbnail, `storeMs` the storing of it. */
export interface GenerateParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly datastores: FindDatastore;
  readonly bringLocal: BringLocal;
  readonly imager: Imager;
  readonly storeOnce: StoreOnce;
  readonly unstored: UnstoredThumbnails;
  readonly makeTemporaryId: MakeId;
  readonly metrics: Pick<Metrics, "thumbnailMade">;
  /** For temporary files, where those of the datastore's folder cannot be written. */
  readonly scratchFolder: string;
  readonly deadlineMs: number;
  readonly storeMs: number;
}

/** A thumbnail that was made, and whether it could be stored. */
export type MadeThumbnail =
  | { readonly kind: "stored"; readonly thumbnail: Thumbnail }
  | { readonly kind: "unstored"; readonly thumbnail: UnstoredThumbnail };

/** Makes one thumbnail of a media and stores it: see {@link makeGenerate}. */
export type MakeThumbnail = (domain: Domain, media: Media, spec: ThumbnailSpec, turn: Turn) => Promise<MadeThumbnail>;

/**
 * Makes a thumbnail: bring the source to a local file, render it in a decoder process, store the result like any other
 * body, and record it beside its media. Where the source already fits, the thumbnail is the source's own body. One that is made
 * and cannot be stored or recorded is handed out all the same.
 *
 * Errors: those of `Imager.render`; 503 where the source cannot be read; 507 where there is no room for temporary files; 404
 * where the media was deleted meanwhile.
 */
export function makeGenerate(parts: GenerateParts): MakeThumbnail {
  const { unstored } = parts;

  return async function generate(domain, media, spec, { ticket }) {
    const signal = AbortSignal.timeout(parts.deadlineMs);
    const datastore = await domain.datastoreFor("thumbnails");
    const folders = await writableFolders([datastore.stagingFolder, parts.scratchFolder]);
    const outputs = folders.map((folder) => join(folder, `${parts.makeTemporaryId()}.thumbnail`));
    const source = await parts.bringLocal(media.blob, folders, signal);
    try {
      const { formats, stillFrame, maxAnimateBytes } = domain.thumbnails;
      const allowAnimated = allowsAnimated(media, maxAnimateBytes);
      const job = { input: source.path, outputs, formats, spec, stillFrame, allowAnimated };
      const rendered = await parts.imager.render(job, ticket, signal).catch((error) => {
        throw isOfSystem(error) ? cannotStore(error) : error;
      });
      if (rendered.kind === "original_fits") return await keepOriginal(media, spec, rendered.type);
      parts.metrics.thumbnailMade(spec.method, rendered.animated);
      return await keep(media, spec, rendered, datastore, timeout(parts.storeMs, signal));
    } finally {
      await Promise.all([source, ...outputs.map(temporary)].map((file) => file.dispose().catch(() => undefined)));
    }
  };

  async function keep(
    media: Media,
    spec: ThumbnailSpec,
    rendered: RenderedImage,
    datastore: Datastore,
    signal: AbortSignal,
  ): Promise<MadeThumbnail> {
    const { path, size, sha256 } = rendered;
    const store = () =>
      parts.storeOnce(
        { path, size, sha256 },
        { datastore: async () => datastore, signal, record: (tx) => record(tx, media, spec, rendered) },
      );
    return await storedOr(store, (failure) => unstored.read(rendered, failure));
  }

  async function keepOriginal(media: Media, spec: ThumbnailSpec, type: string): Promise<MadeThumbnail> {
    const { sha256, size } = media.blob;
    const store = () =>
      parts.db.transaction(async (tx) => {
        if (!(await claimBlob(tx, sha256))) throw notFound();
        return await record(tx, media, spec, { sha256, type });
      });
    const { open } = servableBlob(media.blob, parts.datastores);
    const original = { contentType: type, size, sha256, createdAt: parts.clock(), heldBytes: 0, open };
    return await storedOr(store, async () => original);
  }

  /** That the media is gone is the only failure that the client is to hear of. */
  async function storedOr(
    store: () => Promise<Thumbnail>,
    otherwise: (failure: unknown) => Promise<UnstoredThumbnail>,
  ): Promise<MadeThumbnail> {
    try {
      const thumbnail = await store();
      unstored.stored();
      return { kind: "stored", thumbnail };
    } catch (error) {
      if (isFailure(error, "absent")) throw error;
      const thumbnail = await otherwise(error);
      unstored.failed(error);
      return { kind: "unstored", thumbnail };
    }
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

function temporary(path: string) {
  return { path, dispose: () => rm(path, { force: true }) };
}

/** Those of the folders that are there or can be made. Errors: 507 or 503 where none can. */
async function writableFolders(folders: readonly string[]): Promise<string[]> {
  const made = await Promise.allSettled(folders.map((folder) => mkdir(folder, { recursive: true })));
  const writable = folders.filter((_, at) => made[at]?.status === "fulfilled");
  const failed = made.find(({ status }) => status === "rejected");
  if (writable.length === 0) throw cannotStore(failed?.status === "rejected" ? failed.reason : undefined);
  return writable;
}

/** An error of the operating system: a temporary file cannot be written. */
function isOfSystem(error: unknown): boolean {
  return !isFailure(error) && typeof (error as { code?: unknown } | null)?.code === "string";
}
