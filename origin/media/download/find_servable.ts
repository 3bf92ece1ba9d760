import { Failure } from "../../../shared/matrix/failure.ts";
import type { Mxc } from "../../../shared/matrix/mxc.ts";
import type { Subject } from "../../access/subject.ts";
import type { Domain } from "../../domains/domain.ts";
import type { Blob } from "../../stores/db/tables/blobs.ts";
import type { Media } from "../../stores/db/tables/media.ts";
import type { FindDatastore } from "../../stores/objects/datastore.ts";
import { LostObject } from "../../stores/objects/store_trouble.ts";
import type { Arrival, PullRemote, PullRequest } from "../remote/pull_remote.ts";
import type { AwaitPending, Patience } from "./await_pending.ts";
import type { Servable } from "./servable.ts";

/** Another server, proven by its signature. */
export interface ServerSubject {
  readonly kind: "server";
  readonly serverName: string;
}

/** Who asks for media, and how long they are willing to wait for it. */
export interface MediaAccess extends Patience {
  readonly subject: Subject | ServerSubject;
  /** On whose behalf media of another server may be fetched; absent: only what is here is shown. */
  readonly fetchFor?: Domain | undefined;
}

/** What {@link makeFindVisible} needs. */
export interface FindVisibleParts {
  /** The row of a media; it may be one of a moment ago. */
  readonly findMedia: (mxc: Mxc) => Promise<Media | undefined>;
  readonly awaitPending: AwaitPending["wait"];
  readonly pullRemote: Pick<PullRemote, "whole" | "begin">;
  /** Whether a server is one of those served here: what is missing of its media is nowhere else. */
  readonly isOurs: (serverName: string) => boolean;
  /** Whether media of a server is neither fetched nor shown (`federation.ignoredHosts`). */
  readonly isIgnored: (serverName: string) => boolean;
  /** New media is seen only by those who authenticate. */
  readonly freezeNewMedia: () => boolean;
}

/** Finds the media that somebody may see: see {@link makeFindVisible}. */
export type FindVisible = (mxc: Mxc, access: MediaAccess) => Promise<Media>;

/** Finds the media that somebody may see, also while it is still on its way to us: see {@link makeFindArriving}. */
export type FindArriving = (mxc: Mxc, access: MediaAccess) => Promise<Media | Arrival>;

/**
 * The media that this subject may see, as soon as it is there: uploaded here, or fetched from its server. Nobody who is not
 * known makes us fetch anything: else anybody could plant media here (CVE-2024-36402).
 *
 * Errors: 404 `M_NOT_FOUND` for what does not exist, is quarantined, or asks for authentication that was not given; from
 * outside the three look the same. 504 `M_NOT_YET_UPLOADED` for what does not come in time. Those of `PullRemote`.
 */
export function makeFindVisible(parts: FindVisibleParts): FindVisible {
  return (mxc, access) => find<never>(parts, mxc, access, (request) => parts.pullRemote.whole(mxc, request));
}

/** As {@link makeFindVisible}, but media of another server is shown as soon as its first bytes are here. */
export function makeFindArriving(parts: FindVisibleParts): FindArriving {
  return (mxc, access) => find(parts, mxc, access, (request) => parts.pullRemote.begin(mxc, request));
}

async function find<A extends Arrival>(
  parts: FindVisibleParts,
  mxc: Mxc,
  access: MediaAccess,
  pull: (request: PullRequest) => Promise<Media | A>,
): Promise<Media | A> {
  const { subject } = access;
  const isOurs = parts.isOurs(mxc.serverName);
  if (!isOurs && !isAdmin(subject) && parts.isIgnored(mxc.serverName)) throw notFound();
  const present = await parts.findMedia(mxc);
  const found = present ?? (isOurs ? await uploaded(parts, mxc, access) : await fetched(access, pull));
  if (!found) throw notFound();
  if (isArrival(found)) return found;
  if (found.quarantinedAt !== undefined || (found.frozen && subject.kind === "anonymous")) throw notFound();
  return found;
}

async function uploaded(parts: FindVisibleParts, mxc: Mxc, access: MediaAccess): Promise<Media | undefined> {
  // Nobody waits for what they would not be shown.
  if (access.subject.kind === "anonymous" && parts.freezeNewMedia()) return undefined;
  return await parts.awaitPending(mxc, access);
}

async function fetched<A extends Arrival>(
  access: MediaAccess,
  pull: (request: PullRequest) => Promise<Media | A>,
): Promise<Media | A | undefined> {
  const request = pullRequestOf(access);
  return request && (await pull(request));
}

/** What is thrown for media that does not exist, or must look as if it did not. */
export function notFound(): Failure {
  return new Failure("absent", "Media not found");
}

/** In whose name and on whose account media of other servers is fetched for this access; `undefined`: it is not. */
export function pullRequestOf({ subject, fetchFor, waitMs, signal }: MediaAccess): PullRequest | undefined {
  if (subject.kind !== "user" || !fetchFor) return undefined;
  const { userId, isRepositoryAdmin } = subject;
  const exempt = isRepositoryAdmin || subject.isUnlimited === true;
  const who = { kind: "user", name: `user ${userId}`, exempt } as const;
  return { asking: fetchFor, who, evenIfIgnored: isRepositoryAdmin, waitMs, signal };
}

/** Whether media was found while it was still on its way to us. */
export function isArrival<A extends Arrival>(found: Media | A): found is A {
  return "follow" in found;
}

function isAdmin(subject: MediaAccess["subject"]): boolean {
  return subject.kind === "user" && subject.isRepositoryAdmin;
}

/** Media as it is served for a download, under `fileName` where the path gave one. */
export function servableMedia(media: Media, datastores: FindDatastore, fileName: string | undefined): Servable {
  const name = fileName ?? media.uploadName;
  return {
    media: {
      kind: "download",
      type: media.contentType,
      ...(name === undefined ? {} : { name }),
      size: media.blob.size,
      sha256: media.blob.sha256,
      created: media.createdAt,
    },
    ...servableBlob(media.blob, datastores),
  };
}

/** How to get the bytes of a body. */
export function servableBlob(
  blob: Pick<Blob, "datastoreId" | "location" | "sha256" | "size">,
  datastores: FindDatastore,
): Pick<Servable, "copyFolder" | "open" | "openFile"> {
  const datastore = datastores(blob.datastoreId);
  return {
    copyFolder: datastore?.kind === "s3" ? datastore.stagingFolder : undefined,
    openFile: datastore?.openFile?.bind(datastore, blob),
    open: (slice, signal) => openBlob(blob, datastores).open(blob, slice, signal),
  };
}

/** The datastore that holds a body. Throws `LostObject` where the configuration no longer has it. */
export function openBlob(blob: { datastoreId: string; sha256: string }, datastores: FindDatastore) {
  const datastore = datastores(blob.datastoreId);
  if (datastore) return datastore;
  const cause = new Error(`the configuration has no datastore "${blob.datastoreId}", which holds ${blob.sha256}`);
  throw new LostObject(blob, cause);
}
