import { answerMedia, type ServedMedia } from "./media_answer.ts";
import { frameMedia } from "./multipart_mixed.ts";
import { COMMON_HEADERS } from "./respond.ts";

/** An answer to another server: its headers, and what stands before and after the bytes of the media. */
export interface FederationAnswer {
  readonly headers: Record<string, string>;
  readonly head: Uint8Array<ArrayBuffer>;
  readonly tail: Uint8Array<ArrayBuffer>;
  /** Length of the whole body. */
  readonly bytes: number;
}

/** Signed requests may be answered to who signed them only, and nobody in between may change (compress) what they carry. */
const CACHE_CONTROL = "private, no-store, no-transform";

/** A boundary of 32 characters out of 128 random bits: both tiers make it of the same length, so that their answers are. */
export function formatBoundary(random: Uint8Array): string {
  return Array.from(random.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
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
