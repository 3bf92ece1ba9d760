import assert from "node:assert/strict";
import { test } from "node:test";
import { cpuMsOf } from "../../test/support/cpu_time.ts";
import { sniff } from "./sniff.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");

const KNOWN: readonly (readonly [string, string, string])[] = [
  ["JPEG", "\xff\xd8\xff\xe0\0\x10JFIF", "jpeg"],
  ["PNG", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "png"],
  ["old GIF", "GIF87a\x01\0\x01\0", "gif"],
  ["GIF", "GIF89a\x01\0\x01\0", "gif"],
  ["lossy WebP", "RIFF\x24\0\0\0WEBPVP8 ", "webp"],
  ["lossless WebP", "RIFF\x24\0\0\0WEBPVP8L", "webp"],
  ["extended WebP", "RIFF\x24\0\0\0WEBPVP8X", "webp"],
  ["little-endian TIFF", "II*\0\x08\0\0\0", "tiff"],
  ["big-endian TIFF", "MM\0*\0\0\0\x08", "tiff"],
  ["AVIF", "\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf", "avif"],
  ["AVIF that calls itself a generic one first", "\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "avif"],
  ["bare SVG", '<svg xmlns="http://www.w3.org/2000/svg"/>', "svg"],
  ["SVG with a prologue", '\xef\xbb\xbf<?xml version="1.0"?>\n<!-- <html> -->\n<svg>', "svg"],
  ["SVG after a long licence", `<?xml version="1.0"?>\n<!-- ${"licence ".repeat(5000)} -->\n<svg width="1">`, "svg"],
  ["SVG under a prefix", '<s:svg xmlns:s="http://www.w3.org/2000/svg"/>', "svg"],
  ["SVG with a document type", '<!DOCTYPE svg PUBLIC "-//W3C" "x.dtd" [ <!ENTITY a "b"> ]>\n<svg width="1">', "svg"],
];

for (const [name, head, format] of KNOWN) {
  test(`sniff knows ${name}`, () => assert.equal(sniff(bytes(head)), format));
}

const UNKNOWN: readonly (readonly [string, string])[] = [
  ["nothing", ""],
  ["ciphertext", "\x93\x1f\xae\x00\x55\xee\x21\x90\x13"],
  ["PDF", "%PDF-1.7\n%\xe2\xe3"],
  ["PostScript", "%!PS-Adobe-3.0 EPSF-3.0\n"],
  ["MVG", "push graphic-context\nviewbox 0 0 640 480\n"],
  ["an MSL script", '<?xml version="1.0"?><image><read filename="/etc/passwd"/></image>'],
  ["a playlist", "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n"],
  ["an ffmpeg concat script", "ffconcat version 1.0\nfile '/etc/passwd'\n"],
  ["HTML with an SVG in it", "<html><svg/></html>"],
  ["HTML that hides an SVG in a comment", "<!-- <svg> --><html>"],
  ["another element under the prefix svg", "<svg:g/>"],
  ["an unended document type", `<!DOCTYPE svg [ ${"<!ENTITY a 'b'>".repeat(10)} ><svg>`],
  ["an unended comment", `<!--${"-".repeat(2000)}<svg>`],
  ["gzip, so also a compressed SVG", "\x1f\x8b\x08\0\0\0\0\0"],
  ["HEIC, which is not decoded here", "\0\0\0\x18ftypheic\0\0\0\0mif1heic"],
  ["a video", "\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41"],
  ["a brand behind the end of its box", "\0\0\0\x10ftypisom\0\0\x02\0avif"],
  ["a sound in a RIFF", "RIFF\x24\0\0\0WAVEfmt "],
  ["BMP", "BM\x36\0\0\0\0\0"],
  ["vips", "\xb6\xa6\xf2\x08"],
  ["a PNG cut short", "\x89PNG"],
];

for (const [name, head] of UNKNOWN) {
  test(`sniff refuses ${name}`, () => assert.equal(sniff(bytes(head)), undefined));
}

test("sniff is quick whatever the text", () => {
  const parts = [" ", "\n ", "<?>", "<!--", "<!---->", " <!DOCTYPE [", "<!DOCTYPE", "<!DOCTYPE []>", "<!DOCTYPE [] "];
  const tookMs = cpuMsOf(() => {
    for (const part of parts) assert.equal(sniff(bytes(part.repeat(8000))), undefined);
  });
  assert.ok(tookMs < 500, `${tookMs} ms`);
});
