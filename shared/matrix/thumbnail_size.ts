import { MatrixError } from "./matrix_error.ts";
import { parseBoolean } from "./media_target.ts";

/** Which thumbnail a request means, by the rules of a domain, and of which size it becomes. */

/** CS API, Thumbnails: what becomes of the aspect ratio. */
export type ThumbnailMethod = "crop" | "scale";

/** Width and height in pixels. */
export interface Size {
  width: number;
  height: number;
}

/** What a client asked for. `animated` undefined: it did not say. */
export interface ThumbnailRequest extends Size {
  method: ThumbnailMethod;
  animated: boolean | undefined;
}

/** What is made and kept: the key of a thumbnail. */
export interface ThumbnailSpec extends Size {
  method: ThumbnailMethod;
  animated: boolean;
  format: "auto" | "webp";
}

/** What a domain's configuration says about thumbnails. No sizes: the five of the specification. */
export interface ThumbnailPolicy {
  sizes: Size[];
  /** Make exactly what is asked for, instead of picking from `sizes`. */
  dynamicSizing: boolean;
  /** What `animated` means when a client does not say. */
  defaultAnimated: boolean;
  /** False: no animated thumbnail ever. */
  allowAnimated: boolean;
  /** True: WebP for clients that ask for it by name. Answers then depend on the `Accept` header. Absent: false. */
  preferWebp?: boolean | undefined;
}

/** Longest side that may be asked for. No answer is larger than its source anyway. */
const MAX_SIDE = 16_384;

/** How much of an `Accept` header is read, in characters: browsers send a few hundred. */
const MAX_ACCEPT = 4_096;

/** CS API, Thumbnails. */
const STANDARD_SIZES: readonly Size[] = [
  { width: 32, height: 32 },
  { width: 96, height: 96 },
  { width: 320, height: 240 },
  { width: 640, height: 480 },
  { width: 800, height: 600 },
];

/**
 * Reads the query of a thumbnail request; the method is `scale` unless it says `crop`.
 * Throws 400: M_MISSING_PARAM for an absent side, M_UNKNOWN for one that is not a whole number from 1 to 16384 (the table of errors
 * of the endpoint), M_INVALID_PARAM for an unknown method or an unreadable boolean.
 */
export function parseThumbnailQuery(query: URLSearchParams): ThumbnailRequest {
  return {
    width: parseSide(query, "width"),
    height: parseSide(query, "height"),
    method: parseMethod(query.get("method")),
    animated: parseBoolean(query, ["animated", "org.matrix.msc2705.animated"], undefined),
  };
}

/**
 * Picks what to make, such that it is never smaller than asked for: the smallest configured size that covers the request, else the
 * largest one doubled until it does. A crop is cut down to the asked aspect ratio, so one size has at most width + height crops.
 * Of the client's `Accept` header nothing counts but whether it names WebP, so that there are two forms of a thumbnail at most.
 */
export function pickThumbnail(
  request: ThumbnailRequest,
  policy: ThumbnailPolicy,
  accept?: string | null | undefined,
): ThumbnailSpec {
  const animated = policy.allowAnimated && (request.animated ?? policy.defaultAnimated);
  const { width, height } = policy.dynamicSizing ? request : pickBox(request, policy.sizes);
  const format = policy.preferWebp && acceptsByName(accept, "image/webp") ? "webp" : "auto";
  return { width, height, method: request.method, animated, format };
}

/**
 * The size of the picture that a source yields, in pixels. Never larger than the source.
 * Scale: the source's aspect ratio, both sides at least the asked ones (where the source has them).
 * Crop: the asked aspect ratio; from a source that is too small, the largest cut of that ratio.
 */
export function outputSize(spec: Pick<ThumbnailSpec, "width" | "height" | "method">, source: Size): Size {
  return spec.method === "scale" ? cover(source, spec) : fit(spec, source);
}

/** The part of a key that names one thumbnail of a media, such as `320x240-scale` or `96x96-crop-animated`. */
export function thumbnailSuffix(spec: ThumbnailSpec): string {
  const base = `${spec.width}x${spec.height}-${spec.method}`;
  return base + (spec.animated ? "-animated" : "") + (spec.format === "auto" ? "" : `-${spec.format}`);
}

function parseSide(query: URLSearchParams, name: "width" | "height"): number {
  const text = query.get(name);
  if (!text) throw new MatrixError("M_MISSING_PARAM", `Missing query parameter: ${name}`);
  const side = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  if (side >= 1 && side <= MAX_SIDE) return side;
  throw new MatrixError("M_UNKNOWN", `${name} must be a whole number from 1 to ${MAX_SIDE}`, { status: 400 });
}

function parseMethod(text: string | null): ThumbnailMethod {
  if (text === "crop") return text;
  if (!text || text === "scale") return "scale";
  throw new MatrixError("M_INVALID_PARAM", "method must be crop or scale");
}

function pickBox(request: ThumbnailRequest, configured: readonly Size[]): Size {
  const sizes = configured.length === 0 ? STANDARD_SIZES : configured;
  const covering = sizes.filter((size) => covers(size, request));
  const box = covering.length === 0 ? grow(largest(sizes), request) : smallest(covering);
  return request.method === "crop" ? fit(request, box, true) : { width: box.width, height: box.height };
}

function covers(size: Size, request: Size): boolean {
  return size.width >= request.width && size.height >= request.height;
}

/** By area; of equal areas the narrower, so that the order of the configuration does not matter. */
function bySize(a: Size, b: Size): number {
  return a.width * a.height - b.width * b.height || a.width - b.width;
}

function smallest(sizes: readonly Size[]): Size {
  return sizes.reduce((best, size) => (bySize(size, best) < 0 ? size : best));
}

function largest(sizes: readonly Size[]): Size {
  return sizes.reduce((best, size) => (bySize(size, best) > 0 ? size : best));
}

function grow(size: Size, request: Size): Size {
  let width = Math.max(1, size.width);
  let height = Math.max(1, size.height);
  while (!covers({ width, height }, request)) {
    width = Math.min(width * 2, MAX_SIDE);
    height = Math.min(height * 2, MAX_SIDE);
  }
  return { width, height };
}

/** The smallest size of the source's aspect ratio that covers the box, or the source itself where it does not. */
function cover(source: Size, box: Size): Size {
  if (source.width <= box.width || source.height <= box.height) return { width: source.width, height: source.height };
  if (box.width * source.height >= box.height * source.width) {
    return { width: box.width, height: scaled(source.height, box.width, source.width) };
  }
  return { width: scaled(source.width, box.height, source.height), height: box.height };
}

/** The largest size of the shape's aspect ratio that fits inside the box; not larger than the shape itself unless it may grow. */
function fit(shape: Size, box: Size, mayGrow = false): Size {
  if (!mayGrow && covers(box, shape)) return { width: shape.width, height: shape.height };
  if (box.width * shape.height <= box.height * shape.width) {
    return { width: box.width, height: scaled(shape.height, box.width, shape.width) };
  }
  return { width: scaled(shape.width, box.height, shape.height), height: box.height };
}

/** Integers first, one division last: exact wherever the result is whole. */
function scaled(side: number, by: number, from: number): number {
  return Math.max(1, Math.round((side * by) / from));
}

/**
 * Whether an `Accept` header (RFC 9110 §12.5.1) asks for a media type by its name: wildcards do not count, because programs that
 * send nothing else cannot always show everything. `q=0` refuses. The type is compared in lower case, without its parameters.
 */
function acceptsByName(accept: string | null | undefined, type: string): boolean {
  for (const range of (accept ?? "").slice(0, MAX_ACCEPT).split(",")) {
    const [name = "", ...parameters] = range.split(";");
    if (name.trim().toLowerCase() === type) return !parameters.some((one) => /^\s*q\s*=\s*0(?:\.0*)?\s*$/i.test(one));
  }
  return false;
}
