import { deflateSync } from "node:zlib";
import { makePngChunk, PNG_SIGNATURE } from "../../../../origin/imaging/sources/apng/png_chunks.ts";

/** A PNG of black pixels, one bit each: small however large it is. Complete, so that only its size speaks against it. */
export function bombPng(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.writeUInt8(1, 8);
  const pixels = deflateSync(Buffer.alloc((1 + Math.ceil(width / 8)) * height));
  const chunks = [makePngChunk("IHDR", header), makePngChunk("IDAT", pixels), makePngChunk("IEND", Buffer.alloc(0))];
  return Buffer.concat([PNG_SIGNATURE, ...chunks]);
}

/** A GIF with a square canvas, and frames of one pixel on it. */
export function emptyGif(side: number, frames: number): Buffer {
  const header = Buffer.from("47494638396100000000800000000000ffffff", "hex");
  header.writeUInt16LE(side, 6);
  header.writeUInt16LE(side, 8);
  const frame = Buffer.from("21f904000a0000002c0000000001000100000202440100", "hex");
  return Buffer.concat([header, ...Array.from({ length: frames }, () => frame), Buffer.from([0x3b])]);
}

/** Writes the largest size there is, 16383 x 16383, into the header of a lossless WebP. */
export function enlargeWebp(webp: Buffer): Buffer {
  const signature = webp.indexOf("VP8L") + 8;
  // 14 bits of width and of height, each less one, before the bit for alpha.
  webp.writeUInt32LE(((webp.readUInt32LE(signature + 1) & 0xf0000000) | 0x0fffbffe) >>> 0, signature + 1);
  return webp;
}

/** Writes the largest size that there is for one side into the frame header of a JPEG. */
export function enlargeJpeg(jpeg: Buffer): Buffer {
  const frame = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
  jpeg.writeUInt16BE(65_500, frame + 5);
  jpeg.writeUInt16BE(65_500, frame + 7);
  return jpeg;
}

/**
 * An SVG whose few lines stand for a million drawings (each level for ten times as many). Drawing it takes seconds, and cannot be
 * interrupted.
 */
export function slowSvg(depth = 6): string {
  const levels = Array.from(
    { length: depth },
    (_, level) => `<g id="l${level + 1}">${`<use href="#l${level}" x="1"/>`.repeat(10)}</g>`,
  );
  const first = '<rect id="l0" width="300" height="300" fill="red" opacity="0.5"/>';
  return `<svg xmlns="http://www.w3.org/2000/svg" width="300" height="300"><defs>${first}${levels.join("")}</defs><use href="#l${depth}"/></svg>`;
}

/** An SVG that takes much memory, and seconds, for its many layers of `side` x `side` pixels. */
export function largeSvg(side: number): string {
  const steps = '<feGaussianBlur stdDeviation="40"/><feMorphology operator="dilate" radius="20"/>'.repeat(3);
  const filter = `<filter id="f" x="0" y="0" width="1" height="1">${steps}</filter>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${side}" height="${side}">${filter}<rect width="100%" height="100%" fill="red" filter="url(#f)"/></svg>`;
}

/** Entities that stand for entities that stand for … a billion times the same. */
export function laughingSvg(): string {
  const entities = Array.from({ length: 9 }, (_, level) => `<!ENTITY a${level + 1} "${`&a${level};`.repeat(10)}">`);
  return `<!DOCTYPE svg [<!ENTITY a0 "ha">${entities.join("")}]><svg xmlns="http://www.w3.org/2000/svg" width="300" height="300"><text>&a9;</text></svg>`;
}

/** What a claimed picture may be instead, each a way into some decoder that we don't have. */
export const IMPOSTORS: Readonly<Record<string, string>> = {
  "a PDF": "%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n",
  PostScript: "%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file\n",
  MVG: "push graphic-context\nviewbox 0 0 640 480\nimage over 0,0 0,0 'url(http://127.0.0.1/)'\npop graphic-context\n",
  MSL: '<?xml version="1.0"?><image><read filename="/etc/passwd"/></image>',
  "a playlist": "#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n",
  "a concat script": "ffconcat version 1.0\nfile '/etc/passwd'\n",
  HTML: "<!doctype html><svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
  PPM: "P6\n2 2\n255\n\0\0\0\0\0\0\0\0\0\0\0\0",
  CSV: "1,2,3\n4,5,6\n",
  BMP: "BM\x36\0\0\0",
  ciphertext: Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 167 + 13) % 256)).toString("latin1"),
  nothing: "",
};
