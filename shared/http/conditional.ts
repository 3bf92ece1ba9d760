/** Conditional requests (RFC 9110 §13), and the dates that they carry. */

/** What identifies the state of a media: a strong entity tag with its quotes, and the time of its last change in milliseconds. */
export interface Validators {
  etag: string;
  lastModifiedMs: number;
}

/** The conditional headers of a GET or HEAD request; absent ones are null or undefined. */
export interface ConditionalHeaders {
  ifMatch?: string | null | undefined;
  ifUnmodifiedSince?: string | null | undefined;
  ifNoneMatch?: string | null | undefined;
  ifModifiedSince?: string | null | undefined;
  ifRange?: string | null | undefined;
}

/** The headers, in lower case, for whose judgement the tag and the time of the last change must be known. */
export const CONDITIONS = [
  "if-match",
  "if-unmodified-since",
  "if-none-match",
  "if-modified-since",
  "if-range",
] as const;

/** Longest list of tags that is read, in characters: a hundred of ours. What is behind matches nothing. */
const MAX_LIST = 8_192;

/**
 * Whether the client wants no answer unless the media is still what it knows, and it is not, so that 412 is the answer (RFC 9110
 * §13.2.2, steps 1 and 2; they come before everything else). `If-Match` is compared strongly and, where it is present,
 * `If-Unmodified-Since` does not count; an invalid date does not count either.
 */
export function isPreconditionFailed(headers: ConditionalHeaders, v: Validators): boolean {
  if (headers.ifMatch != null) return !matchesStrongly(headers.ifMatch, v.etag);
  if (headers.ifUnmodifiedSince == null) return false;
  const since = parseHttpDate(headers.ifUnmodifiedSince);
  return since !== undefined && wholeSeconds(v.lastModifiedMs) > since;
}

/**
 * Whether the client's copy is still good, so that 304 is the answer (RFC 9110 §13.2.2, steps 3 and 4). `If-None-Match` is compared
 * weakly and, where it is present, `If-Modified-Since` does not count; an invalid date does not count either.
 */
export function isNotModified(headers: ConditionalHeaders, v: Validators): boolean {
  if (headers.ifNoneMatch != null) return matchesWeakly(headers.ifNoneMatch, v.etag);
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

/** A weak tag, on either side, is equal to nothing (RFC 9110 §8.8.3.2). */
function matchesStrongly(list: string, etag: string): boolean {
  return isAny(list) || tagsOf(list).some((tag) => tag === etag && !tag.startsWith("W/"));
}

function matchesWeakly(list: string, etag: string): boolean {
  return isAny(list) || tagsOf(list).some((tag) => opaque(tag) === opaque(etag));
}

function isAny(list: string): boolean {
  return list.trim() === "*";
}

/** The tags of a list. What is not a tag matches nothing; commas inside tags belong to them. */
function tagsOf(list: string): string[] {
  return list.slice(0, MAX_LIST).match(/(?<![^\s,])(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"(?=[\s,]|$)/g) ?? [];
}

function opaque(etag: string): string {
  return etag.startsWith("W/") ? etag.slice(2) : etag;
}

/** HTTP dates know no milliseconds. */
function wholeSeconds(timeMs: number): number {
  return Math.floor(timeMs / 1000) * 1000;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const LONG_DAY = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)";
const TIME = "(?<hour>\\d\\d):(?<minute>\\d\\d):(?<second>\\d\\d)";
const MONTH = `(?<month>${MONTHS.join("|")})`;

/** RFC 9110 §5.6.7: the preferred form, then the two obsolete ones that must still be read. */
const FORMS = [
  new RegExp(`^${DAY}, (?<day>\\d\\d) ${MONTH} (?<year>\\d{4}) ${TIME} GMT$`),
  new RegExp(`^${LONG_DAY}, (?<day>\\d\\d)-${MONTH}-(?<year>\\d\\d) ${TIME} GMT$`),
  new RegExp(`^${DAY} ${MONTH} (?<day>[ \\d]\\d) ${TIME} (?<year>\\d{4})$`),
];

/** A time as an HTTP date, which knows whole seconds only. */
export function formatHttpDate(timeMs: number): string {
  return new Date(timeMs).toUTCString();
}

/** The milliseconds since the epoch of an HTTP date in any of its three forms; undefined for anything else. */
export function parseHttpDate(text: string): number | undefined {
  for (const form of FORMS) {
    const parts = form.exec(text.trim())?.groups;
    if (parts !== undefined) return timeOf(parts);
  }
  return undefined;
}

function timeOf(parts: Record<string, string | undefined>): number | undefined {
  const number = (name: string) => Number(parts[name]);
  const [day, hour, minute, second] = [number("day"), number("hour"), number("minute"), number("second")];
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const date = new Date(Date.UTC(fullYear(parts.year ?? ""), MONTHS.indexOf(parts.month ?? ""), day));
  // A day that its month does not have would roll over into the next.
  if (date.getUTCDate() !== day) return undefined;
  return date.getTime() + ((hour * 60 + minute) * 60 + second) * 1000;
}

/** Two digits are of 1970 to 2069: without a clock the RFC's "not over 50 years ahead" cannot be asked, and nothing here is older. */
function fullYear(text: string): number {
  const year = Number(text);
  if (text.length > 2) return year;
  return year < 70 ? 2000 + year : 1900 + year;
}
