import type { ByteSlice } from "../../../shared/byte_range.ts";
import type { ServedMedia } from "../../../shared/media_answer.ts";

/** Media that may be served to the one who asked: how it describes itself, and how to get its bytes. */
export interface Servable {
  readonly media: Omit<ServedMedia, "openRangeMaxBytes">;
  /** Opens the bytes (all, or a slice). `undefined`: the object is not in its datastore. */
  open(slice: ByteSlice | undefined, signal: AbortSignal): Promise<ReadableStream<Uint8Array> | undefined>;
}

/** A servable media, and how to tell the edge of it (`undefined` where there is no edge). */
export interface Served {
  readonly servable: Servable;
  readonly publish: (() => Promise<void>) | undefined;
}
