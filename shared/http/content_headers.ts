/** `Content-Type` and `Content-Disposition` of media: what is kept of what others claim, and what is sent. */

/** What a media is called whose type is unknown (CS API, download: Content-Type). */
const DEFAULT_TYPE = "application/octet-stream";

/** Longest content type that is kept with its parameters, in characters. */
const MAX_LENGTH = 255;

/** RFC 9110 §8.3.1: type "/" subtype, then parameters; empty ones are allowed (§5.6.6). */
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const MEDIA_TYPE = new RegExp(`^(${TOKEN}/${TOKEN})(?=[ \\t]*(;|$))`);
const VALUE = `(?:${TOKEN}|"(?:[\\t !#-\\[\\]-~]|\\\\[\\t -~])*")`;
// White space is taken either before a semicolon or before a name, never by two parts at once: else hostile headers take for ever.
const PARAMETERS = new RegExp(`^(?:[ \\t]*;(?:[ \\t]*${TOKEN}=${VALUE})?)*[ \\t]*$`);

/**
 * The content type to keep and to send for what an uploader or another server claimed: the claim itself where it is a media type, its
 * essence where only the parameters are broken or too long, else `application/octet-stream`. Never over 255 characters, always ASCII.
 *
 * Being strict is what makes the decision on `inline` safe: browsers split `image/png;, text/html` at the comma and believe the last.
 */
export function normaliseContentType(header: string | null | undefined): string {
  const text = (header ?? "").trim();
  const type = MEDIA_TYPE.exec(text.slice(0, MAX_LENGTH + 1))?.[1];
  if (type === undefined || type.length > MAX_LENGTH) return DEFAULT_TYPE;
  const whole = text.length <= MAX_LENGTH && PARAMETERS.test(text.slice(type.length));
  return whole ? text : type;
}

/** The type without its parameters, in lower case: `Text/Plain; charset=utf-8` is `text/plain`. */
export function essence(contentType: string): string {
  return (contentType.split(";", 1)[0] ?? "").trim().toLowerCase();
}

/** The types that are safe to show in a browser (CS API, Serving inline content; since 1.12). SVG, HTML and PDF are not among them. */
export const INLINE_TYPES: ReadonlySet<string> = new Set([
  "text/css",
  "text/plain",
  "text/csv",
  "application/json",
  "application/ld+json",
  "image/jpeg",
  "image/gif",
  "image/png",
  "image/apng",
  "image/webp",
  "image/avif",
  "video/mp4",
  "video/webm",
  "video/ogg",
  "video/quicktime",
  "audio/mp4",
  "audio/webm",
  "audio/aac",
  "audio/mpeg",
  "audio/ogg",
  "audio/wave",
  "audio/wav",
  "audio/x-wav",
  "audio/x-pn-wav",
  "audio/flac",
  "audio/x-flac",
]);

/** Longest file name, in code points. */
const MAX_NAME = 255;

/** Longest header that is read, in characters. */
const MAX_HEADER = 8192;

/**
 * What no name may hold: C0, DEL and C1, which must not reach a header; line and paragraph separators; and what turns the direction of
 * writing, by which `evil<U+202E>fdp.exe` is shown as `evilexe.pdf`.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/**
 * The Content-Disposition of a media: `inline` for the safe types, else `attachment`, decided by the type that is sent and never by the
 * bytes. The name goes into a quoted string (RFC 6266); where that can't carry it everywhere, an ASCII stand-in goes there and the
 * name itself into `filename*` (RFC 8187). Always ASCII, whatever the name, which is cleaned as by {@link normaliseFileName}. No name: no
 * parameter.
 */
export function contentDisposition(contentType: string, fileName?: string, force?: "inline"): string {
  const kind = force ?? (isInlineSafe(contentType) ? "inline" : "attachment");
  const name = normaliseFileName(fileName);
  if (name === undefined) return kind;
  const quoted = `${kind}; filename="${asciiOf(name).replace(/["\\]/g, "\\$&")}"`;
  return isPlain(name) ? quoted : `${quoted}; filename*=UTF-8''${encodeExtended(name)}`;
}

/**
 * The one form of a file name, wherever it comes from (an upload, the path of a download, another server) and wherever it goes: the last
 * component of a path of any system, without control characters and what turns the direction of writing, of at most 255 code points;
 * undefined where nothing is left, or only dots that mean a folder.
 */
export function normaliseFileName(name: string | undefined): string | undefined {
  const last = (name ?? "").split(/[/\\]/).at(-1)?.replace(CONTROLS, "") ?? "";
  const short =
    last.length <= MAX_NAME
      ? last
      : Array.from(last.slice(0, 2 * MAX_NAME))
          .slice(0, MAX_NAME)
          .join("");
  return ["", ".", ".."].includes(short.trim()) ? undefined : short.toWellFormed();
}

/**
 * The file name in another server's Content-Disposition, ready to be kept; undefined where there is none. `filename*` is preferred over
 * `filename` (RFC 6266 §4.3) unless it is broken. Unquoted names with spaces and bare UTF-8 bytes are understood too: servers send them.
 */
export function parseDispositionFileName(header: string): string | undefined {
  const parameters = parametersOf(header.slice(0, MAX_HEADER));
  const extended = decodeExtended(parameters.get("filename*") ?? "");
  return normaliseFileName(extended ?? parameters.get("filename"));
}

/** Only what would be sent as it is: a type that must be repaired first is not to be trusted with `inline`. */
function isInlineSafe(contentType: string): boolean {
  return normaliseContentType(contentType) === contentType.trim() && INLINE_TYPES.has(essence(contentType));
}

/** Printable ASCII that no recipient reads differently: some undo percent signs in `filename`, some trip over escapes. */
function isPlain(name: string): boolean {
  return /^[ -~]*$/.test(name) && !/["\\]|%[0-9A-Fa-f]{2}/.test(name);
}

function asciiOf(name: string): string {
  return name.replace(/[^ -~]/gu, "_");
}

/** RFC 8187 §3.2.1: these four are left alone by encodeURIComponent but are no attr-char. */
function encodeExtended(name: string): string {
  return encodeURIComponent(name).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The parameters behind the disposition type; of two with the same name the first counts. */
function parametersOf(header: string): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const [, name = "", value = ""] of header.matchAll(
    /;[ \t]*([^\s=;"]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;]*)/g,
  )) {
    const key = name.toLowerCase();
    if (!parameters.has(key)) parameters.set(key, readable(unquote(value.trim())));
  }
  return parameters;
}

function unquote(value: string): string {
  return /^".*"$/s.test(value) ? value.slice(1, -1).replace(/\\(.)/g, "$1") : value;
}

/** Header bytes arrive as Latin-1 text; where they are valid UTF-8, that is what was meant. */
function readable(text: string): string {
  const bytes = Array.from(text, (char) => char.codePointAt(0) ?? 0);
  return bytes.every((byte) => byte <= 0xff) ? (decodeUtf8(bytes) ?? text) : text;
}

/** RFC 8187: charset, language, percent-encoded bytes, in the two charsets that were ever allowed. Undefined where it is broken. */
function decodeExtended(value: string): string | undefined {
  const [, charset = "", encoded = ""] = /^(utf-8|iso-8859-1)'[^']*'(.*)$/i.exec(value) ?? [];
  if (charset === "" || /%(?![0-9A-Fa-f]{2})/.test(encoded)) return undefined;
  const bytes = (encoded.match(/%..|[^%]/gu) ?? []).flatMap(bytesOf);
  return charset.toLowerCase() === "utf-8" ? decodeUtf8(bytes) : String.fromCharCode(...bytes);
}

function bytesOf(piece: string): number[] {
  return piece.startsWith("%") ? [Number.parseInt(piece.slice(1), 16)] : Array.from(new TextEncoder().encode(piece));
}

function decodeUtf8(bytes: number[]): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes));
  } catch {
    return undefined;
  }
}
