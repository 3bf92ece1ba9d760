import { MatrixError } from "../matrix/matrix_error.ts";
import { type ByteSlice, parseRange } from "./byte_range.ts";
import {
  type ConditionalHeaders,
  formatHttpDate,
  isNotModified,
  isPreconditionFailed,
  rangeApplies,
  type Validators,
} from "./conditional.ts";
import { contentDisposition, essence, normaliseContentType } from "./content_headers.ts";
import { COMMON_HEADERS } from "./respond.ts";

/**
 * Three days, by the client that asked and no cache between: as matrix-media-repo has it. Nor may a proxy transform it
 * (RFC 9111 §5.2.2.6): what was compressed on the way has no length, and ranges of it are of other bytes.
 */
const CACHE_CONTROL = "private, max-age=259200, no-transform";

/** CS API, thumbnail: the types an answer may have, and the ending of the name that we give it. */
const THUMBNAIL_ENDINGS: ReadonlyMap<string, string> = new Map([
  ["image/jpeg", ".jpg"],
  ["image/png", ".png"],
  ["image/apng", ".apng"],
  ["image/gif", ".gif"],
  ["image/webp", ".webp"],
]);

/** One media or thumbnail that may be served: all that its headers depend on. */
export interface ServedMedia {
  kind: "download" | "thumbnail";
  type: string;
  /** The name in the path if there is one, else the uploader's. A thumbnail gets a name of its own. */
  name?: string | undefined;
  /** In bytes. */
  size: number;
  /** Lower-case hex; the entity tag. */
  sha256: string;
  /** Milliseconds since the epoch; the last change, because bodies never change. */
  created: number;
  /** Longest answer, in bytes, to a range for everything (`bytes=0-`); 0 for no limit. */
  openRangeMaxBytes: number;
  /** Another `Accept` header may have another answer. */
  variesByAccept?: boolean | undefined;
}

/** What to send. A slice on 206; no slice on 200: the whole body; 304: no body. HEAD has the same headers and no body. */
export interface MediaAnswer {
  status: 200 | 206 | 304;
  headers: Record<string, string>;
  slice?: ByteSlice;
}

/** Media of which only the beginning is here yet. `announcedBytes`: the length of all of it, where its sender said so. */
export interface ArrivingMedia {
  type: string;
  name?: string | undefined;
  announcedBytes: number | undefined;
}

/** The headers of media that is passed on while it arrives: its hash, and with it the entity tag, is known only at the end. */
export function answerArriving({ type: claimed, name, announcedBytes }: ArrivingMedia): Record<string, string> {
  const type = normaliseContentType(claimed);
  return {
    ...COMMON_HEADERS,
    "cache-control": CACHE_CONTROL,
    "content-type": type,
    "content-disposition": contentDisposition(type, name),
    "accept-ranges": "bytes",
    ...(announcedBytes === undefined ? {} : { "content-length": String(announcedBytes) }),
  };
}

/** The parts of a request that decide: `header` finds one by its lower-case name. */
export interface MediaRequest {
  method: string;
  header(name: string): string | null | undefined;
}

/**
 * The one place that turns (request, media) into status, headers and which bytes, for both tiers: conditionals first, then the range
 * (RFC 9110 §13.2.2), which only a GET has (§14.2). Throws M_UNKNOWN with status 412 where the media is not what the client makes
 * its condition, and with 416 for a range outside the body.
 */
export function answerMedia(request: MediaRequest, media: ServedMedia): MediaAnswer {
  const validators = { etag: `"${media.sha256}"`, lastModifiedMs: media.created };
  const conditions = conditionsOf(request);
  if (isPreconditionFailed(conditions, validators)) throw preconditionFailed(validators);
  if (isNotModified(conditions, validators)) return { status: 304, headers: cacheHeaders(validators, media) };
  const headers = { ...cacheHeaders(validators, media), ...bodyHeaders(media) };
  const slice = sliceOf(request, conditions, validators, media);
  if (slice === undefined) return { status: 200, headers };
  headers["content-length"] = String(slice.length);
  headers["content-range"] = `bytes ${slice.offset}-${slice.offset + slice.length - 1}/${media.size}`;
  return { status: 206, headers, slice };
}

function conditionsOf(request: MediaRequest): ConditionalHeaders {
  return {
    ifMatch: request.header("if-match"),
    ifUnmodifiedSince: request.header("if-unmodified-since"),
    ifNoneMatch: request.header("if-none-match"),
    ifModifiedSince: request.header("if-modified-since"),
    ifRange: request.header("if-range"),
  };
}

function cacheHeaders(validators: Validators, media: ServedMedia): Record<string, string> {
  return {
    ...COMMON_HEADERS,
    "cache-control": CACHE_CONTROL,
    etag: validators.etag,
    "last-modified": formatHttpDate(validators.lastModifiedMs),
    ...(media.variesByAccept ? { vary: "Accept" } : {}),
  };
}

function bodyHeaders(media: ServedMedia): Record<string, string> {
  const type = normaliseContentType(media.type);
  return {
    "content-type": type,
    "content-length": String(media.size),
    "content-disposition": dispositionOf(media, type),
    "accept-ranges": "bytes",
  };
}

/** A thumbnail is `inline` under a name that we choose (CS API, thumbnail), but only of the types that a thumbnail may have. */
function dispositionOf(media: ServedMedia, type: string): string {
  if (media.kind === "download") return contentDisposition(type, media.name);
  const ending = THUMBNAIL_ENDINGS.get(essence(type));
  return contentDisposition(type, `thumbnail${ending ?? ""}`, ending === undefined ? undefined : "inline");
}

function preconditionFailed({ etag, lastModifiedMs }: Validators): MatrixError {
  return new MatrixError("M_UNKNOWN", "The media is not the one that the request makes its condition", {
    status: 412,
    headers: { etag, "last-modified": formatHttpDate(lastModifiedMs) },
  });
}

function sliceOf(
  request: MediaRequest,
  conditions: ConditionalHeaders,
  validators: Validators,
  media: ServedMedia,
): ByteSlice | undefined {
  const header = request.method === "GET" ? request.header("range") : undefined;
  if (!header || !rangeApplies(conditions, validators)) return undefined;
  const range = parseRange(header, media.size, media.openRangeMaxBytes);
  if (range.kind === "slice") return range.slice;
  if (range.kind === "whole") return undefined;
  throw new MatrixError("M_UNKNOWN", "The requested range lies outside the media", {
    status: 416,
    headers: { "content-range": `bytes */${media.size}`, "accept-ranges": "bytes" },
  });
}
