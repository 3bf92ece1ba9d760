import { toHex } from "../matrix/encoding.ts";
import { answerMedia, type ServedMedia } from "./media_answer.ts";
import { COMMON_HEADERS } from "./respond.ts";

/** An answer to another server: its headers, and what stands before and after the bytes of the media. */
export interface FederationAnswer {
  readonly headers: Record<string, string>;
  readonly head: Uint8Array<ArrayBuffer>;
  readonly tail: Uint8Array<ArrayBuffer>;
  /** Length of the whole body. */
  readonly bytes: number;
}

/** The answer is for the server that signed the request only, and must not be changed (compressed) on the way. */
const CACHE_CONTROL = "private, no-store, no-transform";

/** A boundary of 32 characters out of 128 random bits: both tiers make it of the same length, so that their answers are. */
export function formatBoundary(random: Uint8Array): string {
  return toHex(random.subarray(0, 16));
}

/**
 * The one place that wraps media for another server (Server-Server API, "Content Repository"), for both tiers: always the
 * whole of it, whatever range was asked for. Type and disposition of the part are those of the Client-Server API.
 */
export function answerFederation(boundary: string, media: Omit<ServedMedia, "openRangeMaxBytes">): FederationAnswer {
  const { headers } = answerMedia({ method: "GET", header: () => undefined }, { ...media, openRangeMaxBytes: 0 });
  const frame = frameMedia(boundary, {
    contentType: headers["content-type"] ?? "",
    contentDisposition: headers["content-disposition"] ?? "",
  });
  const bytes = frame.lengthWith(media.size);
  return {
    headers: {
      ...COMMON_HEADERS,
      "cache-control": CACHE_CONTROL,
      "content-type": frame.contentType,
      "content-length": String(bytes),
    },
    head: frame.head,
    tail: frame.tail,
    bytes,
  };
}

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
  if (!BOUNDARY.test(boundary)) throw new Error("Cannot frame media: the boundary is not 1 to 70 letters and digits");
  const metadata = ["", `--${boundary}`, "Content-Type: application/json", "", "{}"];
  const type = `Content-Type: ${headerValue(media.contentType)}`;
  const disposition = `Content-Disposition: ${headerValue(media.contentDisposition)}`;
  const head = utf8([...metadata, `--${boundary}`, type, disposition, "", ""].join("\r\n"));
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
