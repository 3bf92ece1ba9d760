import { open } from "node:fs/promises";
import type { ImageFormat } from "../platform/image_types.ts";

/** Bytes of a file's beginning that decide what it is. So many for an SVG, which may have a licence before it. */
const HEAD_BYTES = 64 * 1024;

/** The format of the file at `path` by its first bytes (`undefined` for any that we do not decode), and its length. */
export async function sniffFile(path: string): Promise<{ format: ImageFormat | undefined; fileBytes: number }> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(HEAD_BYTES), position: 0 });
    return { format: sniff(buffer.subarray(0, bytesRead)), fileBytes: (await file.stat()).size };
  } finally {
    await file.close();
  }
}

/**
 * The format of a file that begins with `head` (64 KiB are enough). A claimed content type has no say: it is what
 * attacks on decoders lie about, and what honest clients often get wrong.
 */
export function sniff(head: Uint8Array): ImageFormat | undefined {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.byteLength, HEAD_BYTES)).toString("latin1");
  const signed = SIGNATURES.find(([, signatures]) => signatures.some((signature) => text.startsWith(signature)))?.[0];
  if (signed) return signed;
  if (isWebp(text)) return "webp";
  if (isAvif(text)) return "avif";
  return isSvg(text) ? "svg" : undefined;
}

const SIGNATURES: readonly (readonly [ImageFormat, readonly string[]])[] = [
  ["jpeg", ["\xff\xd8\xff"]],
  ["png", ["\x89PNG\r\n\x1a\n"]],
  ["gif", ["GIF87a", "GIF89a"]],
  ["tiff", ["II*\0", "II+\0", "MM\0*", "MM\0+"]],
];

function isWebp(text: string): boolean {
  return (
    text.startsWith("RIFF") && ["VP8 ", "VP8L", "VP8X"].includes(text.slice(12, 16)) && text.slice(8, 12) === "WEBP"
  );
}

const MAX_BRANDS = 32;

/** ISO/IEC 14496-12 §4.3: the brands of an `ftyp` box. AVIF is `avif`, or `avis` for a sequence (AV1 Image File Format §6). */
function isAvif(text: string): boolean {
  if (text.slice(4, 8) !== "ftyp") return false;
  const size = Buffer.from(text.slice(0, 4), "latin1").readUInt32BE();
  const brands = [text.slice(8, 12)];
  for (let at = 16; at + 4 <= Math.min(size, text.length) && brands.length < MAX_BRANDS; at += 4) {
    brands.push(text.slice(at, at + 4));
  }
  return brands.includes("avif") || brands.includes("avis");
}

/** The root element, under whatever prefix. */
const ROOT = /<(?:[A-Za-z_][\w.-]*:)?svg[\s>/]/y;
const SPACE = /(?:\xef\xbb\xbf)?\s*/y;

/** White space, declarations, comments and a document type may stand before the root element, which must be `svg`. */
function isSvg(text: string): boolean {
  if (text.includes("\0")) return false;
  let at = 0;
  for (;;) {
    SPACE.lastIndex = at;
    at += SPACE.exec(text)?.[0].length ?? 0;
    const end = endOfProlog(text, at);
    if (end === undefined) break;
    at = end;
  }
  ROOT.lastIndex = at;
  return ROOT.test(text);
}

/** Where the declaration, comment or document type that begins at `at` ends; `undefined` where none begins or it does not end. */
function endOfProlog(text: string, at: number): number | undefined {
  if (text.startsWith("<?", at)) return after(text, "?>", at + 2);
  if (text.startsWith("<!--", at)) return after(text, "-->", at + 4);
  if (!text.startsWith("<!DOCTYPE", at)) return undefined;
  const end = after(text, ">", at);
  if (end === undefined || !text.slice(at, end).includes("[")) return end;
  const close = after(text, "]", at);
  return close === undefined ? undefined : after(text, ">", close);
}

function after(text: string, what: string, from: number): number | undefined {
  const found = text.indexOf(what, from);
  return found < 0 ? undefined : found + what.length;
}
