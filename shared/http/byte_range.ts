/** A run of bytes of a body. */
export interface ByteSlice {
  offset: number;
  length: number;
}

/** What a Range header means for a body of a known size. */
export type RangeVerdict = { kind: "whole" } | { kind: "slice"; slice: ByteSlice } | { kind: "unsatisfiable" };

/** Longest header that is read, in characters: many ranges, or one that is written to be slow, mean the whole body. */
const MAX_HEADER = 1_024;

const WHOLE: RangeVerdict = Object.freeze({ kind: "whole" });
const UNSATISFIABLE: RangeVerdict = Object.freeze({ kind: "unsatisfiable" });

/**
 * Reads a Range header (RFC 9110 §14) for a body of `size` bytes. Only a single range of bytes is honoured: several ranges, other units
 * and malformed headers mean the whole body, as the RFC allows.
 *
 * `openEndedMax`, in bytes, bounds the answer to `bytes=0-`, by which players look at the beginning and then ask on; absent or 0: no
 * bound. `bytes=n-` of a later byte is how a broken download is resumed (`curl -C -`, `wget -c`): those clients take the end of the
 * answer for the end of the file, so it is always all of the rest.
 */
export function parseRange(header: string | null | undefined, size: number, openEndedMax = 0): RangeVerdict {
  const spec = singleSpec(header && header.length <= MAX_HEADER ? header : "");
  const [, first, last, suffix] = /^(?:([0-9]+)-([0-9]*)|-([0-9]+))$/.exec(spec ?? "") ?? [];
  if (suffix !== undefined) return lastBytes(Number(suffix), size);
  if (first === undefined) return WHOLE;
  return fromTo(Number(first), last ? Number(last) : undefined, size, openEndedMax || Number.POSITIVE_INFINITY);
}

/**
 * Whether a Range header asks for a part of a body, whatever its size: one range that {@link parseRange} honours, and not `bytes=0-`, which
 * is where a download begins.
 */
export function isPart(header: string | null | undefined): boolean {
  const verdict = parseRange(header, Number.MAX_SAFE_INTEGER);
  return verdict.kind === "slice" && verdict.slice.length < Number.MAX_SAFE_INTEGER;
}

/** The one range of a `bytes=` header; empty list elements do not count (RFC 9110 §5.6.1). */
function singleSpec(header: string): string | undefined {
  const set = /^bytes=(.*)$/i.exec(header.trim())?.[1] ?? "";
  const written = set
    .split(",")
    .map((spec) => spec.trim())
    .filter((spec) => spec !== "");
  return written.length === 1 ? written[0] : undefined;
}

function lastBytes(count: number, size: number): RangeVerdict {
  if (count === 0) return UNSATISFIABLE;
  // The last bytes of nothing are satisfiable by the RFC, but no Content-Range can say so.
  if (size === 0) return WHOLE;
  const length = Math.min(count, size);
  return { kind: "slice", slice: { offset: size - length, length } };
}

function fromTo(first: number, last: number | undefined, size: number, openEndedMax: number): RangeVerdict {
  if (last !== undefined && last < first) return WHOLE;
  if (first >= size) return UNSATISFIABLE;
  if (last !== undefined)
    return { kind: "slice", slice: { offset: first, length: Math.min(last, size - 1) - first + 1 } };
  const length = first === 0 ? Math.min(size, openEndedMax) : size - first;
  return { kind: "slice", slice: { offset: first, length } };
}
