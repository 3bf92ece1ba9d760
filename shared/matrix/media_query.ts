import { MatrixError } from "./matrix_error.ts";

/** What the query of a download or thumbnail says about how to get the media. */
export interface MediaQuery {
  /** Longest wait for media that is not uploaded yet, in milliseconds. */
  waitMs: number;
  /** Media of other servers may be fetched. */
  allowRemote: boolean;
  /** The answer may be a redirect to where the bytes are. */
  allowRedirect: boolean;
}

/** CS API, `timeout_ms`: the default of the specification, and our cap. */
const DEFAULT_WAIT_MS = 20_000;
const MAX_WAIT_MS = 60_000;

/**
 * Reads `timeout_ms`, `allow_remote` and `allow_redirect` (CS API; MSC2246, MSC3860; their unstable names too). The latter two
 * are no parameters of the authenticated paths, which ignore them (MSC3916).
 *
 * A wait of 0 is no wait; one that is too long is cut. Errors: 400 `M_INVALID_PARAM` for what is no whole number or boolean.
 */
export function parseMediaQuery(query: URLSearchParams, authenticated: boolean): MediaQuery {
  return {
    allowRemote: authenticated || parseBoolean(query, ["allow_remote"], true),
    allowRedirect: authenticated || parseBoolean(query, ["allow_redirect", "com.beeper.msc3860.allow_redirect"], false),
    waitMs: parseWait(firstValue(query, ["timeout_ms", "fi.mau.msc2246.timeout_ms"])),
  };
}

/**
 * A boolean of a query by the first of its names that has a value; `absent` when none has. All that Go reads as a boolean,
 * because matrix-media-repo's clients may send it. Errors: 400 `M_INVALID_PARAM`.
 */
export function parseBoolean(query: URLSearchParams, names: readonly string[], absent: boolean): boolean {
  const text = firstValue(query, names);
  if (text === undefined) return absent;
  if (/^(1|t|T|true|TRUE|True)$/.test(text)) return true;
  if (/^(0|f|F|false|FALSE|False)$/.test(text)) return false;
  throw new MatrixError("M_INVALID_PARAM", `${names[0]} must be true or false`);
}

function parseWait(text: string | undefined): number {
  if (text === undefined) return DEFAULT_WAIT_MS;
  if (/^[0-9]+$/.test(text)) return Math.min(Number(text), MAX_WAIT_MS);
  throw new MatrixError("M_INVALID_PARAM", "timeout_ms must be a whole number of milliseconds");
}

function firstValue(query: URLSearchParams, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = query.get(name);
    if (value) return value;
  }
  return undefined;
}
