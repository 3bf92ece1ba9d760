import * as z from "zod";
import type { KeyDoc } from "./key_doc.ts";

/** What may be said of a key beside its description. */
type More = Omit<KeyDoc, "description" | "default">;

const TRUE = new Set(["true", "t", "yes", "on", "y", "1"]);
const FALSE = new Set(["false", "f", "no", "off", "n", "0"]);

/** true or false; YAML 1.1's yes/no/on/off and quoted forms too, as matrix-media-repo's parser takes them. */
export function flag(fallback: boolean, description: string, more: More = {}) {
  return z
    .preprocess(readFlag, z.boolean({ error: "must be true or false" }))
    .default(fallback)
    .meta({ type: "true or false", default: fallback, ...more, description });
}

/**
 * A whole number between `min` and `max`, or with `least` instead of the two: what is less than that is read as the default.
 * Without any of them, it is 0 or more, and what is less is read as 0: no limit, never, none, as matrix-media-repo has it.
 */
export function count(fallback: number, description: string, more: More & { min?: number; max?: number } = {}) {
  const { min = 0, max = Number.MAX_SAFE_INTEGER, ...doc } = more;
  const lenient = more.min === undefined && more.max === undefined;
  const read = lenient ? (value: unknown) => raise(readNumber(value), doc.least ?? 0, fallback) : readNumber;
  const error = `must be a whole number ${range(min, max)}`;
  return z
    .preprocess(read, z.int({ error }).min(min, { error }).max(max, { error }))
    .default(fallback)
    .meta({ type: "number", default: fallback, ...doc, description });
}

/** A size in bytes; what 0 means, the description says. */
export function bytes(fallback: number, description: string, more: More & { min?: number } = {}) {
  return count(fallback, description, { type: "bytes", ...more });
}

/** A TCP port; 0 lets the system choose one. */
export function port(fallback: number, description: string, more: More = {}) {
  return count(fallback, description, { type: "port", ...more, max: 65_535 });
}

/** A number that need not be whole. */
export function decimal(fallback: number, description: string, more: More & { min: number; max: number }) {
  const { min, max, ...doc } = more;
  const error = `must be a number ${range(min, max)}`;
  return z
    .preprocess(readNumber, z.number({ error }).min(min, { error }).max(max, { error }))
    .default(fallback)
    .meta({ type: "number", default: fallback, ...doc, description });
}

/** Text; a bare number or true/false is taken as the text it was written as. */
export function text(fallback: string, description: string, more: More = {}) {
  return z
    .preprocess(readText, z.string({ error: "must be text" }))
    .default(fallback)
    .meta({ type: "text", default: fallback, ...more, description });
}

/** Text that must be there, and of this form, if one is given: else `error` says what it must be. */
export function needed(
  description: string,
  more: More & { form?: (text: string) => boolean; error?: string | undefined } = {},
) {
  const { form = () => true, error: misformed, ...doc } = more;
  const error = "is needed: it must be text, not empty";
  const present = z.string({ error }).min(1, { error, abort: true });
  return z.preprocess(readText, present.refine(form, { error: misformed })).meta({ type: "text", ...doc, description });
}

/** An address that starts with http:// or https://; empty where that says nothing is set. */
export function httpUrl(fallback: string, description: string, more: More = {}) {
  return z
    .preprocess(
      readText,
      z.string({ error: "must be text" }).refine((url) => url === "" || isHttpUrl(url), {
        error: "must be an address that starts with http:// or https://",
      }),
    )
    .default(fallback)
    .meta({ type: "URL", default: fallback, ...more, description });
}

/** One of a few words, in whatever case. An empty text is the fallback. */
export function choice<const T extends readonly string[]>(
  words: T,
  fallback: T[number],
  description: string,
  more: More = {},
) {
  const read = (value: unknown) => (value === "" ? fallback : typeof value === "string" ? value.toLowerCase() : value);
  return z
    .preprocess(read, z.enum(words, { error: `must be one of ${words.join(", ")}` }))
    .default(fallback as never)
    .meta({ type: words.join(" \\| "), default: fallback, ...more, description });
}

/** A list of texts. */
export function texts(fallback: readonly string[], description: string, more: More = {}) {
  const one = z.preprocess(readText, z.string({ error: "must be text" }));
  return z
    .array(one, { error: "must be a list" })
    .default([...fallback])
    .meta({ type: "list of texts", default: fallback, ...more, description });
}

/** Is this an absolute address over HTTP or HTTPS? */
export function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

function range(min: number, max: number): string {
  return max === Number.MAX_SAFE_INTEGER ? `that is ${min} or more` : `from ${min} to ${max}`;
}

function readFlag(value: unknown): unknown {
  const word = String(value).toLowerCase();
  if (TRUE.has(word)) return true;
  return FALSE.has(word) ? false : value;
}

function raise(value: unknown, least: number, fallback: number): unknown {
  if (!Number.isInteger(value) || Number(value) >= least) return value;
  return least === 0 ? 0 : fallback;
}

/** Numbers whose text is more than their value (1_000, 0x10, 1e6) arrive as text: see `source_file.ts`. */
export function readNumber(value: unknown): unknown {
  if (typeof value !== "string" || value.trim() === "") return value;
  const read = Number(value.replaceAll("_", ""));
  return Number.isNaN(read) ? value : read;
}

function readText(value: unknown): unknown {
  return typeof value === "number" || typeof value === "boolean" ? String(value) : value;
}
