import { parseHttpDate } from "./http_date.ts";

/** What identifies the state of a media: a strong entity tag with its quotes, and the time of its last change in milliseconds. */
export interface Validators {
  etag: string;
  lastModifiedMs: number;
}

/** The conditional headers of a GET or HEAD request; absent ones are null or undefined. */
export interface ConditionalHeaders {
  ifNoneMatch?: string | null | undefined;
  ifModifiedSince?: string | null | undefined;
  ifRange?: string | null | undefined;
}

/**
 * Whether the client's copy is still good, so that 304 is the answer (RFC 9110 §13.2.2). `If-None-Match` is compared weakly and, where it
 * is present, `If-Modified-Since` does not count; an invalid date does not count either.
 */
export function isNotModified(headers: ConditionalHeaders, v: Validators): boolean {
  if (headers.ifNoneMatch != null) return matchesAny(headers.ifNoneMatch, v.etag);
  if (headers.ifModifiedSince == null) return false;
  const since = parseHttpDate(headers.ifModifiedSince);
  return since !== undefined && wholeSeconds(v.lastModifiedMs) <= since;
}

/**
 * Whether a Range header counts, as far as `If-Range` is concerned (RFC 9110 §13.1.5): a tag must be strong and equal, a date exactly the
 * last change. Bodies never change here, so a date is as good as a tag. Without `If-Range`, yes.
 */
export function rangeApplies(headers: ConditionalHeaders, v: Validators): boolean {
  if (headers.ifRange == null) return true;
  const value = headers.ifRange.trim();
  if (value.startsWith('"')) return value === v.etag;
  return parseHttpDate(value) === wholeSeconds(v.lastModifiedMs);
}

/** Weak comparison with a list of tags, or with `*`. What is not a tag matches nothing; commas inside tags belong to them. */
function matchesAny(list: string, etag: string): boolean {
  if (list.trim() === "*") return true;
  for (const [, tag] of list.matchAll(/(?<![^\s,])(?:W\/)?("[\x21\x23-\x7e\x80-\xff]*")(?=[\s,]|$)/g)) {
    if (tag === opaque(etag)) return true;
  }
  return false;
}

function opaque(etag: string): string {
  return etag.startsWith("W/") ? etag.slice(2) : etag;
}

/** HTTP dates know no milliseconds. */
function wholeSeconds(timeMs: number): number {
  return Math.floor(timeMs / 1000) * 1000;
}
