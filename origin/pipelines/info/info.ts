import { LRUCache } from "lru-cache";
import { essence } from "../../../shared/content_type.ts";
import type { Mxc } from "../../../shared/mxc.ts";
import { SingleFlight } from "../../platform/single_flight.ts";
import type { Queryable } from "../../stores/db/database.ts";
import type { Media } from "../../stores/db/media.ts";
import { listThumbnails } from "../../stores/db/thumbnails.ts";
import type { Domain } from "../domain.ts";
import type { FindVisible, MediaAccess } from "../download/find_servable.ts";
import type { BringLocal } from "../download/local_file.ts";

/** Pixels. */
interface Size {
  readonly width: number;
  readonly height: number;
}

/** What is told of a media. Bytes, pixels, hex. */
export interface MediaInfo {
  readonly contentType: string;
  readonly size: number;
  readonly sha256: string;
  /** Of a picture whose header can be read. */
  readonly picture: Size | undefined;
  /** The thumbnails that were made of it so far. */
  readonly thumbnails: readonly (Size & { readonly contentType: string; readonly size: number })[];
}

/** What {@link makeInfo} needs. */
export interface InfoParts {
  readonly db: Queryable;
  readonly findVisible: FindVisible;
  readonly bringLocal: BringLocal;
  /** Reads the header of a picture; `undefined` for what is none. */
  readonly probe: (path: string, signal: AbortSignal) => Promise<Size | undefined>;
  /** How long looking into one body may take, in milliseconds. */
  readonly deadlineMs: number;
}

/** Tells what a media is: see {@link makeInfo}. */
export type Info = (mxc: Mxc, options: MediaAccess & { readonly domain: Domain }) => Promise<MediaInfo>;

/** Bodies never change, and what was found in one need not be looked for again. */
const MAX_REMEMBERED = 10_000;

/**
 * What a media is (MMR's `info`). Pictures are looked into only as far as their header, and only those that thumbnails may be
 * made of.
 *
 * Errors: those of {@link FindVisible}; 503 when the decoders are busy.
 */
export function makeInfo(parts: InfoParts): Info {
  const remembered = new LRUCache<string, { readonly picture: Size | undefined }>({ max: MAX_REMEMBERED });
  const looking = new SingleFlight<Size | undefined>();

  return async function info(mxc, { domain, ...access }) {
    const media = await parts.findVisible(mxc, access);
    const { contentType, blob } = media;
    return {
      contentType,
      size: blob.size,
      sha256: blob.sha256,
      picture: mayBePicture(domain, media) ? await pictureIn(blob, domain) : undefined,
      thumbnails: await listThumbnails(parts.db, mxc),
    };
  };

  async function pictureIn(blob: Media["blob"], domain: Domain): Promise<Size | undefined> {
    const known = remembered.get(blob.sha256);
    if (known) return known.picture;
    const picture = await looking.run(blob.sha256, () => look(blob, domain));
    remembered.set(blob.sha256, { picture });
    return picture;
  }

  async function look(blob: Media["blob"], domain: Domain): Promise<Size | undefined> {
    const signal = AbortSignal.timeout(parts.deadlineMs);
    const { stagingFolder } = await domain.datastoreFor("thumbnails");
    const file = await parts.bringLocal(blob, stagingFolder, signal);
    try {
      return await parts.probe(file.path, signal);
    } finally {
      await file.dispose();
    }
  }
}

function mayBePicture({ thumbnails }: Domain, { contentType, blob }: Media): boolean {
  if (!essence(contentType).startsWith("image/")) return false;
  return thumbnails.maxSourceBytes <= 0 || blob.size <= thumbnails.maxSourceBytes;
}
