import { essence } from "../../../shared/http/content_headers.ts";
import { Failure, isFailure } from "../../../shared/matrix/failure.ts";
import { formatMxc, type Mxc } from "../../../shared/matrix/mxc.ts";
import {
  pickThumbnail,
  type ThumbnailRequest,
  type ThumbnailSpec,
  thumbnailSuffix,
} from "../../../shared/matrix/thumbnail_size.ts";
import { thumbnailKeyOf } from "../../../shared/tiers/object_key.ts";
import type { Counted } from "../../access/limits/counted.ts";
import type { Domain } from "../../domains/domain.ts";
import { PictureError } from "../../imaging/imaging_errors.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Claim, Ticket } from "../../platform/fair_queue.ts";
import { raceAbort } from "../../platform/time.ts";
import type { FreshCache } from "../../platform/ttl.ts";
import type { Publish } from "../../publish/publish.ts";
import { enqueueTombstones } from "../../publish/tombstones.ts";
import type { Database } from "../../stores/db/database.ts";
import { findMedia, type Media } from "../../stores/db/tables/media.ts";
import { findThumbnail, forgetThumbnail, type Thumbnail } from "../../stores/db/tables/thumbnails.ts";
import type { FindDatastore } from "../../stores/objects/datastore.ts";
import { LostObject } from "../../stores/objects/store_trouble.ts";
import { type FindVisible, type MediaAccess, notFound, servableBlob } from "../download/find_servable.ts";
import type { LostMedia } from "../download/lost_media.ts";
import type { Servable, Served } from "../download/servable.ts";
import { decoderClaim } from "./decoder_turns.ts";
import type { MadeThumbnail, MakeThumbnail } from "./generate.ts";
import { SharedMaking, type Turn } from "./shared_making.ts";
import type { UnstoredThumbnail, UnstoredThumbnails } from "./unstored_thumbnails.ts";

/** What {@link makeThumbnails} needs. */
export interface ThumbnailParts {
  readonly db: Database;
  readonly clock: Clock;
  /** Rows that were read a moment ago. */
  readonly rows: FreshCache<Thumbnail>;
  readonly findVisible: FindVisible;
  readonly datastores: FindDatastore;
  readonly lostMedia: Pick<LostMedia, "forget">;
  readonly generate: MakeThumbnail;
  /** Takes a place in the line for decoders. */
  readonly takeTurn: (claim: Claim) => Ticket;
  readonly unstored: UnstoredThumbnails;
  /** How long fetching a lost source again may take, in milliseconds, whoever leaves meanwhile. */
  readonly deadlineMs: number;
  /** Absent where there is no edge. */
  readonly publish: Publish | undefined;
}

/** Finds or makes a thumbnail: see {@link makeThumbnails}. */
export type FindOrMakeThumbnail = (
  mxc: Mxc,
  request: ThumbnailRequest,
  options: MediaAccess & {
    readonly domain: Domain;
    /** On whose account it is made, where it has to be. */
    readonly who: Counted;
    /** The `Accept` header of a client; without, the answer is of the types that everybody takes. */
    readonly accept?: string | undefined;
  },
) => Promise<Served>;

/**
 * A thumbnail (Client-Server API, `GET …/thumbnail`) in its order: may the media be seen; which of the sizes is meant; is
 * it there; else make it, once for all who wait.
 *
 * Making goes on when the one who asked goes away: the next who asks has it, and so have the others who wait for it. One whose
 * object turns out to be lost is forgotten, so that asking once more makes it again; one that cannot be stored is served without.
 */
export function makeThumbnails(parts: ThumbnailParts): FindOrMakeThumbnail {
  const { unstored } = parts;
  const making = new SharedMaking<MadeThumbnail>(parts.takeTurn);

  return async function findOrMakeThumbnail(mxc, request, { domain, who, accept, ...access }) {
    const media = await parts.findVisible(mxc, access);
    const policy = domain.policy.thumbnails;
    const spec = pickThumbnail(request, policy, accept);
    const suffix = thumbnailSuffix(spec);
    const name = nameOf(mxc, suffix);
    const claim = decoderClaim(who, media);
    const makeOnce = (work: (turn: Turn) => Promise<MadeThumbnail>) =>
      raceAbort(making.run(name, claim, work), access.signal);
    // Nobody's leaving may end what others wait for.
    const patient = () => ({ ...access, signal: AbortSignal.timeout(parts.deadlineMs) });
    const makeNew = async (turn: Turn) => {
      const made = await make(domain, media, spec, patient(), turn);
      if (made.kind === "unstored") unstored.keep(name, made.thumbnail);
      return made;
    };

    const row = await parts.rows.get(name, () => findThumbnail(parts.db, mxc, suffix));
    const kept = row ? undefined : unstored.find(name);
    const made = row ? stored(row) : kept ? keptUnstored(kept) : await makeOnce(makeNew);
    if (made.kind === "unstored") {
      const forgetKept = async () => unstored.forget(name);
      return unpublished(made.thumbnail, policy.preferWebp, forgetKept);
    }
    const { thumbnail } = made;
    const { publish } = parts;
    return {
      servable: servable(thumbnail, parts.datastores, policy.preferWebp),
      publish: publish && (() => publish.thumbnail(media, thumbnail, spec)),
      forget: () => forget(thumbnail),
    };
  };

  async function make(
    domain: Domain,
    seen: Media,
    spec: ThumbnailSpec,
    access: MediaAccess,
    turn: Turn,
  ): Promise<MadeThumbnail> {
    requireThumbnailable(domain, seen);
    // Its body may lie elsewhere by now than when it was seen.
    const media = await findMedia(parts.db, seen);
    if (!media) throw notFound();
    const makeOf = (source: Media) => parts.generate(domain, source, spec, turn);
    try {
      return await makeOf(media).catch(async (error) => {
        if (!(error instanceof LostObject) || !(await parts.lostMedia.forget(media, access))) throw error;
        const again = await parts.findVisible(media, access);
        requireThumbnailable(domain, again);
        return await makeOf(again);
      });
    } catch (error) {
      throw isRemote(media) ? asOfRemote(error) : error;
    }
  }

  /** True: asking once more makes it again, or finds what was made meanwhile. */
  async function forget(lost: Thumbnail): Promise<boolean> {
    await parts.db.transaction(async (tx) => {
      const at = parts.clock();
      const deleted = await forgetThumbnail(tx, lost, at);
      if (!deleted || !parts.publish) return;
      const key = thumbnailKeyOf(deleted, deleted.suffix);
      await enqueueTombstones(tx, [{ key, generation: deleted.generation }], { at });
    });
    parts.rows.forget(nameOf(lost, lost.suffix));
    return true;
  }
}

function nameOf(mxc: Mxc, suffix: string): string {
  return `${formatMxc(mxc)} ${suffix}`;
}

function isRemote(media: Media): boolean {
  return media.userId === undefined;
}

/** A source that is too large to be drawn is its server's fault where it has one. */
function asOfRemote(error: unknown): unknown {
  if (!isFailure(error, "too_large")) return error;
  return new Failure("peer_too_large", error.message, { mrErrcode: error.mrErrcode, cause: error });
}

function keptUnstored(thumbnail: UnstoredThumbnail): MadeThumbnail {
  return { kind: "unstored", thumbnail };
}

function stored(thumbnail: Thumbnail): MadeThumbnail {
  return { kind: "stored", thumbnail };
}

/**
 * What is claimed decides nothing of a picture, and little of anything else: what is said to be a text or a video is not looked into.
 *
 * Errors: `unreadable` for a type that thumbnails are not made of; for a source of too many bytes `too_large`, and
 * `peer_too_large` where it is remote.
 */
function requireThumbnailable(domain: Domain, media: Media): void {
  const { types, maxSourceBytes } = domain.thumbnails;
  const claimed = essence(media.contentType);
  if (!claimed.startsWith("image/") && !types.has(claimed)) throw new PictureError("type");
  if (maxSourceBytes > 0 && media.blob.size > maxSourceBytes) {
    throw new Failure(
      isRemote(media) ? "peer_too_large" : "too_large",
      `Cannot make thumbnails of media larger than ${maxSourceBytes} bytes`,
      { mrErrcode: "M_MEDIA_TOO_LARGE" },
    );
  }
}

function servable(thumbnail: Thumbnail, datastores: FindDatastore, variesByAccept: boolean | undefined): Servable {
  const { blob } = thumbnail;
  return {
    media: {
      kind: "thumbnail",
      type: thumbnail.contentType,
      size: blob.size,
      sha256: blob.sha256,
      created: thumbnail.createdAt,
      variesByAccept,
    },
    ...servableBlob(blob, datastores),
  };
}

/** The edge is not told of it: there is nothing that it could read. */
function unpublished(
  thumbnail: UnstoredThumbnail,
  variesByAccept: boolean | undefined,
  forget: Served["forget"],
): Served {
  const { contentType: type, size, sha256, createdAt: created, open } = thumbnail;
  const media = { kind: "thumbnail", type, size, sha256, created, variesByAccept } as const;
  return { servable: { media, open }, publish: undefined, forget };
}
