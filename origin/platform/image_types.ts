/**
 * The formats of pictures that can be decoded, each with the content types that name it. This is what `thumbnails.types` may
 * list; which decoder runs is decided by what a file is, never by the type that somebody claims.
 */
export const IMAGE_TYPES = {
  jpeg: ["image/jpeg", "image/jpg"],
  png: ["image/png", "image/apng"],
  webp: ["image/webp"],
  gif: ["image/gif"],
  avif: ["image/avif"],
  tiff: ["image/tiff"],
  svg: ["image/svg+xml"],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** A format that can be decoded, named after what a file really is. */
export type ImageFormat = keyof typeof IMAGE_TYPES;

/** The formats that these content types (lower case, without parameters) name. Types that name none are passed over. */
export function formatsOf(types: Iterable<string>): Set<ImageFormat> {
  const formats = new Set<ImageFormat>();
  for (const type of types) {
    for (const [format, names] of Object.entries(IMAGE_TYPES) as [ImageFormat, readonly string[]][]) {
      if (names.includes(type)) formats.add(format);
    }
  }
  return formats;
}
