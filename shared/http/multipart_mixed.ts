/** The envelope around one media in a federation answer (Server-Server API, "Content Repository"): what comes before and after its bytes. */
export interface MultipartFrame {
  /** Value of the answer's `Content-Type` header. */
  contentType: string;
  /** Bytes before the media. */
  head: Uint8Array<ArrayBuffer>;
  /** Bytes after the media. */
  tail: Uint8Array<ArrayBuffer>;
  /** Length of the whole answer around `mediaBytes` bytes of media. */
  lengthWith(mediaBytes: number): number;
}

const BOUNDARY = /^[A-Za-z0-9]{1,70}$/;

/**
 * The envelope for media sent as bytes. `boundary` is 1 to 70 letters and digits, random enough (128 bits) not to occur in
 * the media. Throws if a header value has control characters.
 *
 * The form is as plain as the strictest readers need it: CRLF first, the boundary last and unquoted in the outer header, one
 * header in the first part, both headers on the second.
 */
export function frameMedia(
  boundary: string,
  media: { contentType: string; contentDisposition: string },
): MultipartFrame {
  return frame(boundary, [
    `Content-Type: ${headerValue(media.contentType)}`,
    `Content-Disposition: ${headerValue(media.contentDisposition)}`,
  ]);
}

/** The envelope that sends the reader to another URL for the bytes: complete without media, `Location` being its only header. */
export function frameLocation(boundary: string, location: string): MultipartFrame {
  return frame(boundary, [`Location: ${headerValue(location)}`]);
}

function frame(boundary: string, partHeaders: readonly string[]): MultipartFrame {
  if (!BOUNDARY.test(boundary)) throw new Error("Cannot frame media: the boundary is not 1 to 70 letters and digits");
  const metadata = ["", `--${boundary}`, "Content-Type: application/json", "", "{}"];
  const head = utf8([...metadata, `--${boundary}`, ...partHeaders, "", ""].join("\r\n"));
  const tail = utf8(`\r\n--${boundary}--\r\n`);
  return {
    contentType: `multipart/mixed; boundary=${boundary}`,
    head,
    tail,
    lengthWith: (mediaBytes) => head.byteLength + mediaBytes + tail.byteLength,
  };
}

function headerValue(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not pass
  if (/[\x00-\x08\x0a-\x1f\x7f]/.test(value))
    throw new Error("Cannot frame media: a header value has control characters");
  return value;
}

function utf8(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(new TextEncoder().encode(text));
}

const PARAMETER = /;[ \t]*([^\s=;]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))[ \t]*/y;

/**
 * The boundary that a `Content-Type` header of `multipart/mixed` names: quoted or not, among other parameters, its name in
 * any case. `undefined` for another type, or without a boundary of 1 to 70 characters (RFC 2046, section 5.1.1).
 */
export function parseBoundary(contentType: string | null | undefined): string | undefined {
  const type = /^[ \t]*multipart\/mixed[ \t]*(?=;)/i.exec(contentType ?? "");
  if (!contentType || !type) return undefined;
  PARAMETER.lastIndex = type[0].length;
  for (let match = PARAMETER.exec(contentType); match; match = PARAMETER.exec(contentType)) {
    if (match[1]?.toLowerCase() !== "boundary") continue;
    const boundary = match[2]?.replace(/\\(.)/g, "$1") ?? match[3] ?? "";
    return /^[\x20-\x7e]{1,70}$/.test(boundary) ? boundary : undefined;
  }
  return undefined;
}
