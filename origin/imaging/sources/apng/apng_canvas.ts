import type { ApngFrame } from "./apng.ts";

type Region = Pick<ApngFrame, "x" | "y" | "width" | "height">;

/**
 * The output buffer of an animated PNG (PNG Third Edition §11.3.6.2): frames are drawn on it one after another. Pixels are
 * RGBA, 8 bits each, colour not multiplied by alpha.
 */
export class ApngCanvas {
  readonly width: number;
  readonly height: number;
  readonly pixels: Buffer;
  #undo: () => void = () => {};

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.pixels = Buffer.alloc(width * height * 4);
  }

  /** Draws a frame whose region has these pixels, after what the frame before asked for has been done. */
  draw(frame: ApngFrame, rgba: Buffer): void {
    if (rgba.length !== frame.width * frame.height * 4) throw new Error("Cannot draw a frame: it has the wrong size");
    this.#undo();
    this.#undo = this.#disposalOf(frame);
    for (let row = 0; row < frame.height; row += 1) {
      const source = rgba.subarray(row * frame.width * 4, (row + 1) * frame.width * 4);
      const target = this.#row(frame, row);
      if (frame.over) blendOver(target, source);
      else source.copy(target);
    }
  }

  #disposalOf(frame: ApngFrame): () => void {
    switch (frame.disposal) {
      case "keep":
        return () => {};
      case "clear":
        return () => this.#eachRow(frame, (target) => target.fill(0));
      case "restore": {
        const rows: Buffer[] = [];
        this.#eachRow(frame, (target) => rows.push(Buffer.from(target)));
        return () => this.#eachRow(frame, (target, row) => rows[row]?.copy(target));
      }
      default:
        return frame.disposal satisfies never;
    }
  }

  #eachRow(region: Region, visit: (target: Buffer, row: number) => void): void {
    for (let row = 0; row < region.height; row += 1) visit(this.#row(region, row), row);
  }

  #row(region: Region, row: number): Buffer {
    const start = ((region.y + row) * this.width + region.x) * 4;
    return this.pixels.subarray(start, start + region.width * 4);
  }
}

/** PNG Third Edition §13.16: alpha compositing, both sides with alpha. */
function blendOver(target: Buffer, source: Buffer): void {
  for (let at = 0; at < source.length; at += 4) {
    const above = source[at + 3] ?? 0;
    if (above === 255) source.copy(target, at, at, at + 4);
    else if (above > 0) blendPixel(target, source, at, above);
  }
}

function blendPixel(target: Buffer, source: Buffer, at: number, above: number): void {
  const below = ((target[at + 3] ?? 0) * (255 - above)) / 255;
  const alpha = above + below;
  for (let channel = at; channel < at + 3; channel += 1) {
    target[channel] = Math.round(((source[channel] ?? 0) * above + (target[channel] ?? 0) * below) / alpha);
  }
  target[at + 3] = Math.round(alpha);
}
