import { type Parameters, PostgresUrlError } from "./postgres_parameters.ts";

/**
 * Reads `key=value` pairs as libpq does (PostgreSQL documentation, "Keyword/Value Connection Strings"): spaces may stand around
 * the equals sign, a value with spaces stands in single quotes, and a backslash takes the next character as it is. Of a key that
 * stands twice the last counts.
 *
 * Errors: {@link PostgresUrlError} for what is no such text.
 */
export function readPostgresPairs(text: string): Parameters {
  const found = new Map<string, string>();
  const pair = /\s*(\w+)\s*=\s*(?:'((?:\\.|[^'\\])*)'(?=\s|$)|((?:\\.|[^\s'\\])(?:\\.|[^\s\\])*)?(?=\s|$))\s*/sy;
  while (pair.lastIndex < text.length) {
    const [, key, quoted, bare = ""] = pair.exec(text) ?? [];
    if (key === undefined) throw unreadable();
    found.set(key, (quoted ?? bare).replace(/\\(.)/gs, "$1"));
  }
  return found;
}

function unreadable(): PostgresUrlError {
  return new PostgresUrlError(
    "cannot be read as pairs of key=value: put a value with spaces in single quotes, and write \\' and \\\\ for ' and \\ in it",
  );
}
