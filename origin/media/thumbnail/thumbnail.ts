import type { ByteSlice } from "../../../shared/http/byte_range.ts";
import { essence } from "../../../shared/http/content_headers.ts";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { formatMxc, type Mxc } from "../../../shared/matrix/mxc.ts";
import {
  pickThumbnail,
  type ThumbnailRequest,
  type ThumbnailSpec,
  thumbnailSuffix,
} from "../../../shared/matrix/thumbnail_size.ts";
import type { Counted } from "../../access/limits/counted.ts";
import type { Domain } from "../../domains/domain.ts";
import { notAllowed } from "../../imaging/imaging_errors.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Claim, Ticket } from "../../platform/fair_queue.ts";
import { raceAbort } from "../../platform/time.ts";
import type { FreshCache } from "../../platform/ttl.ts";
import type { Publish } from "../../publish/publish.ts";
import type { Database } from "../../stores/db/database.ts";
import { findMedia, type Media } from "../../stores/db/tables/media.ts";
import { findThumbnail, forgetThumbnail, type Thumbnail } from "../../stores/db/tables/thumbnails.ts";
import type { FindDatastore } from "../../stores/objects/datastore.ts";
import { type FindVisible, type MediaAccess, servableBlob, servableMedia } from "../download/find_servable.ts";
import { notFound } from "../download/not_found.ts";
import type { Servable, Served } from "../download/servable.ts";
import type { Restore } from "../remote/pull_restore.ts";
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
  readonly restore: Restore;
  readonly generate: MakeThumbnail;
  /** Takes a place in the line for decoders. */
  readonly takeTurn: (claim: Claim) => Ticket;
  readonly unstored: UnstoredThumbnails;
  /** How long bringing back a lost source may take, in milliseconds, whoever leaves meanwhile. */
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
 * object turns out to be lost when it is opened is made again; one that cannot be stored is served without.
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
    if (kept) return unpublished(kept, policy.preferWebp);
    const made = row ? stored(row) : await makeOnce(makeNew);
    if (made.kind === "unstored") return unpublished(made.thumbnail, policy.preferWebp);
    const { thumbnail } = made;
    const { publish } = parts;
    const remake = () => makeOnce((turn) => makeAgain(thumbnail, () => makeNew(turn)));
    return {
      servable: healing(thumbnail, servable(thumbnail, parts.datastores, policy.preferWebp), remake),
      publish: publish && (() => publish.thumbnail(media, thumbnail, spec)),
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
    if (isRemote(seen)) await requireSource(seen, access);
    // Its body may lie elsewhere by now than when it was seen.
    const media = await findMedia(parts.db, seen);
    if (!media) throw notFound();
    return await parts.generate(domain, media, spec, turn).catch((error) => {
      throw isRemote(media) ? asOfRemote(error) : error;
    });
  }

  async function makeAgain(lost: Thumbnail, makeNew: () => Promise<MadeThumbnail>): Promise<MadeThumbnail> {
    await parts.db.transaction((tx) => forgetThumbnail(tx, lost, parts.clock()));
    const present = await findThumbnail(parts.db, lost, lost.suffix);
    const again = present ? stored(present) : await makeNew();
    parts.rows.forget(nameOf(lost, lost.suffix));
    return again;
  }

  /** Errors: those of making it, where it is lost. */
  function healing(thumbnail: Thumbnail, served: Servable, remake: () => Promise<MadeThumbnail>): Servable {
    const open = async ({ blob }: Thumbnail, slice: ByteSlice | undefined, signal: AbortSignal) =>
      await parts.datastores(blob.datastoreId)?.open(blob, slice, signal);
    const openAgain = async (again: MadeThumbnail, slice: ByteSlice | undefined, signal: AbortSignal) => {
      const sha256 = again.kind === "stored" ? again.thumbnail.blob.sha256 : again.thumbnail.sha256;
      // What is said of the lost one is not true of any other bytes: those are for the next who asks.
      if (sha256 !== thumbnail.blob.sha256) return undefined;
      return again.kind === "stored"
        ? await open(again.thumbnail, slice, signal)
        : await again.thumbnail.open(slice, signal);
    };
    return {
      ...served,
      async open(slice, signal) {
        const bytes = await open(thumbnail, slice, signal);
        return bytes ?? (await openAgain(await remake(), slice, signal));
      },
    };
  }

  /** Media of another server whose object is lost heals when it is opened: a byte is enough. */
  async function requireSource(media: Media, access: MediaAccess): Promise<void> {
    const source = parts.restore(servableMedia(media, parts.datastores, undefined), media, access);
    const slice = media.blob.size > 0 ? { offset: 0, length: 1 } : undefined;
    const bytes = await source.open(slice, access.signal);
    await bytes?.cancel();
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
  if (!(error instanceof MatrixError) || error.status !== 413) return error;
  const { errcode, message, mrErrcode } = error;
  return new MatrixError(errcode, message, { status: 502, mrErrcode, cause: error });
}

function stored(thumbnail: Thumbnail): MadeThumbnail {
  return { kind: "stored", thumbnail };
}

/**
 * What is claimed decides nothing of a picture, and little of anything else: what is said to be a text or a video is not looked into.
 *
 * Errors: 400 `M_UNKNOWN` for a type that thumbnails are not made of; for a source of too many bytes 413, and 502 where it is remote. */
function requireThumbnailable(domain: Domain, media: Media): void {
  const { types, maxSourceBytes } = domain.thumbnails;
  const claimed = essence(media.contentType);
  if (!claimed.startsWith("image/") && !types.has(claimed)) throw notAllowed();
  if (maxSourceBytes > 0 && media.blob.size > maxSourceBytes) {
    throw new MatrixError("M_TOO_LARGE", `Cannot make thumbnails of media larger than ${maxSourceBytes} bytes`, {
      status: isRemote(media) ? 502 : 413,
      mrErrcode: "M_MEDIA_TOO_LARGE",
    });
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
function unpublished(thumbnail: UnstoredThumbnail, variesByAccept: boolean | undefined): Served {
  const { contentType: type, size, sha256, createdAt: created, open } = thumbnail;
  const media = { kind: "thumbnail", type, size, sha256, created, variesByAccept } as const;
  return { servable: { media, open }, publish: undefined };
}
