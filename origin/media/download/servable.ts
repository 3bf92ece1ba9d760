import type { ByteSlice } from "../../../shared/http/byte_range.ts";
import type { ArrivingMedia, ServedMedia } from "../../../shared/http/media_answer.ts";
import type { SeekableBody } from "../../stores/objects/datastore.ts";

/** Media that may be served to the one who asked: how it describes itself, and how to get its bytes. */
export interface Servable {
  readonly media: Omit<ServedMedia, "openRangeMaxBytes">;
  /** Where its datastore is not on this machine: a folder that is, for a copy that several read. */
  readonly copyFolder?: string | undefined;
  /** Opens the bytes (all, or a slice). `undefined`, or a `LostObject` thrown: the object is not in its datastore. */
  open(slice: ByteSlice | undefined, signal: AbortSignal): Promise<ReadableStream<Uint8Array> | undefined>;
  /**
   * Opens the bytes where they are a file of this machine, with less work. `undefined`, or no such function: `open` is to be asked.
   */
  readonly openFile?: ((signal: AbortSignal) => Promise<SeekableBody | undefined>) | undefined;
}

/** Media of another server whose first bytes are here: to be passed on as they come. Whoever gets the stream reads or cancels it. */
export interface Arriving {
  readonly media: ArrivingMedia;
  /** Fails where the body turns out wrong, and ends only when it is known to be whole. */
  readonly bytes: ReadableStream<Uint8Array>;
  /** It was fetched on account of this request. */
  readonly isCharged: boolean;
  /** Tells the edge, once the media is stored. Never throws. */
  readonly publish: (() => Promise<void>) | undefined;
}

/** A servable media, and how to tell the edge of it (`undefined` where there is no edge). */
export interface Served {
  readonly servable: Servable;
  readonly publish: (() => Promise<void>) | undefined;
  /**
   * Forgets the row that named its object, which turned out to be missing. True: asking for the media once more may find it, since
   * it is fetched or made again, or lies elsewhere by now.
   */
  readonly forget: () => Promise<boolean>;
}
