import { LRUCache } from "lru-cache";
import { essence } from "../../shared/http/content_headers.ts";
import type { Mxc } from "../../shared/matrix/mxc.ts";
import type { Counted } from "../access/limits/counted.ts";
import type { Domain } from "../domains/domain.ts";
import type { Claim, Ticket } from "../platform/fair_queue.ts";
import type { ImageFormat } from "../platform/image_types.ts";
import { raceAbort } from "../platform/time.ts";
import type { Queryable } from "../stores/db/database.ts";
import type { Media } from "../stores/db/tables/media.ts";
import { listThumbnails } from "../stores/db/tables/thumbnails.ts";
import { LostObject } from "../stores/objects/store_trouble.ts";
import type { FindVisible, MediaAccess } from "./download/find_servable.ts";
import type { BringLocal } from "./download/local_file.ts";
import type { LostMedia } from "./download/lost_media.ts";
import { decoderClaim } from "./thumbnail/decoder_turns.ts";
import { SharedMaking, type Turn } from "./thumbnail/shared_making.ts";

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
  readonly lostMedia: Pick<LostMedia, "forget">;
  readonly bringLocal: BringLocal;
  /** Takes a place in the line for decoders. */
  readonly takeTurn: (claim: Claim) => Ticket;
  /** Reads the header of a picture; `undefined` for what is none of these formats. */
  readonly probe: (
    path: string,
    formats: ReadonlySet<ImageFormat>,
    turn: Ticket,
    signal: AbortSignal,
  ) => Promise<Size | undefined>;
  /** For temporary files, where those of the datastore's folder cannot be written. */
  readonly scratchFolder: string;
  /** How long looking into one body may take, in milliseconds. */
  readonly deadlineMs: number;
}

/** Tells what a media is: see {@link makeInfo}. */
export type Info = (
  mxc: Mxc,
  options: MediaAccess & {
    readonly domain: Domain;
    /** On whose account a picture is looked into. */
    readonly who: Counted;
  },
) => Promise<MediaInfo>;

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
  const looking = new SharedMaking<Size | undefined>(parts.takeTurn);

  return async function info(mxc, { domain, who, ...access }) {
    const seen = await parts.findVisible(mxc, access);
    const lookInto = async (media: Media) => ({
      media,
      picture: mayBePicture(domain, media) ? await pictureIn(media, domain, who, access.signal) : undefined,
    });
    const { media, picture } = await lookInto(seen).catch(async (error) => {
      if (!(error instanceof LostObject) || !(await parts.lostMedia.forget(seen, access))) throw error;
      return await lookInto(await parts.findVisible(mxc, access));
    });
    const { contentType, blob } = media;
    return {
      contentType,
      size: blob.size,
      sha256: blob.sha256,
      picture,
      thumbnails: await listThumbnails(parts.db, mxc),
    };
  };

  async function pictureIn(media: Media, domain: Domain, who: Counted, signal: AbortSignal): Promise<Size | undefined> {
    const { blob } = media;
    const key = `${blob.sha256} ${[...domain.thumbnails.formats].join()}`;
    const known = remembered.get(key);
    if (known) return known.picture;
    const looked = looking.run(key, decoderClaim(who, media), (turn) => look(blob, domain, turn));
    const picture = await raceAbort(looked, signal);
    remembered.set(key, { picture });
    return picture;
  }

  async function look(blob: Media["blob"], domain: Domain, { ticket }: Turn): Promise<Size | undefined> {
    const signal = AbortSignal.timeout(parts.deadlineMs);
    const { stagingFolder } = await domain.datastoreFor("thumbnails");
    const file = await parts.bringLocal(blob, [stagingFolder, parts.scratchFolder], signal);
    try {
      return await parts.probe(file.path, domain.thumbnails.formats, ticket, signal);
    } finally {
      await file.dispose();
    }
  }
}

function mayBePicture({ thumbnails }: Domain, { contentType, blob }: Media): boolean {
  if (!essence(contentType).startsWith("image/")) return false;
  return thumbnails.maxSourceBytes <= 0 || blob.size <= thumbnails.maxSourceBytes;
}
