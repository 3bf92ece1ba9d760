import { MatrixError } from "./matrix_error.ts";

/** Nesting that no object of the protocol needs; keeps hostile input from exhausting the stack. */
const MAX_DEPTH = 100;

/**
 * Canonical JSON (specification, appendix "Canonical JSON"): no white space, keys sorted by Unicode code point, integers
 * within ±(2^53 − 1) only. Encode the result as UTF-8 to sign it.
 *
 * Throws `M_BAD_JSON` for what has no canonical form: fractions, larger integers, lone surrogates, `undefined`, functions,
 * and nesting deeper than 100.
 */
export function canonicalJson(value: unknown): string {
  return encode(value, 0);
}

function encode(value: unknown, depth: number): string {
  if (depth > MAX_DEPTH) throw refuse("too deeply nested");
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") return encodeString(value);
  if (typeof value === "number") return encodeInteger(value);
  if (Array.isArray(value)) return `[${value.map((item) => encode(item, depth + 1)).join(",")}]`;
  if (typeof value === "object") return encodeObject(value, depth);
  throw refuse(`a value of type ${typeof value}`);
}

function encodeObject(object: object, depth: number): string {
  // Rebuilt by hand: JSON.stringify would put keys that look like integers first, whatever their order.
  const members = Object.entries(object)
    .sort(([a], [b]) => compareCodePoints(a, b))
    .map(([key, value]) => `${encodeString(key)}:${encode(value, depth + 1)}`);
  return `{${members.join(",")}}`;
}

function encodeString(text: string): string {
  if (!text.isWellFormed()) throw refuse("a lone surrogate");
  return JSON.stringify(text);
}

function encodeInteger(value: number): string {
  if (!Number.isSafeInteger(value)) throw refuse("a number that is not an integer within ±(2^53 − 1)");
  return String(value);
}

// The order of `<` is that of UTF-16 units, which puts U+1F600 before U+FFFD; that of code points is the reverse.
function compareCodePoints(a: string, b: string): number {
  let index = 0;
  while (index < a.length && a.charCodeAt(index) === b.charCodeAt(index)) index += 1;
  return (a.codePointAt(index) ?? -1) - (b.codePointAt(index) ?? -1);
}

function refuse(what: string): MatrixError {
  return new MatrixError("M_BAD_JSON", `Cannot write ${what} as canonical JSON`);
}
