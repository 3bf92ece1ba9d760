import type { ByteSlice } from "../../../shared/http/byte_range.ts";

/** A body that was received whole and lies in a local file, waiting to be stored. Size in bytes, SHA-256 in lower-case hex. */
export interface StagedFile {
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
}

/** A small body that was received whole and is held in memory, waiting to be stored. */
export interface HeldBody {
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly sha256: string;
}

/** A body that was received whole, wherever it waits. */
export type StagedBody = StagedFile | HeldBody;

/** An object as the database knows it: where it lies, and how many bytes it must have. */
export interface KnownObject {
  readonly location: string;
  readonly size: number;
}

/** A body that can be read at any position, by one reader, who closes it at the end and after any failure. */
export interface SeekableBody {
  /** As much is read at once at the most. */
  readonly pieceBytes: number;
  /**
   * Up to `length` bytes at `position`, at least one of those that there are. The memory may be used again for the next: it is to be
   * called when what it returned is needed no more.
   */
  read(position: number, length: number): Promise<Uint8Array>;
  /** Gives back what it is read from; only the first call counts. */
  close(): void;
}

/**
 * Where bodies lie: a folder, or a bucket of an S3 store. Knows nothing of what the bytes mean.
 *
 * What moves bodies throws what a client is to be told (`store_trouble.ts`), in bounded time: 503 `M_UNKNOWN` with a time to
 * retry where the store fails, does not answer or is overtaxed, 507 where it is full; and the signal's reason where whoever
 * wanted it has gone.
 */
export interface Datastore {
  /** As the configuration and the database name it. */
  readonly id: string;
  readonly kind: "file" | "s3";
  /** Which bucket of which S3 store it is. */
  readonly place?: string;
  /** A folder for files that are about to be put: with a file datastore on the same filesystem. Made by who uses it. */
  readonly stagingFolder: string;
  /** Where a body of this hash is put, up to `-` and its generation: never the same for two incarnations. */
  locationStem(sha256: string): string;
  /** What is put lies on a disk of this machine for good before it is answered: to be flushed while it arrives, it is done sooner. */
  readonly isFlushed?: boolean;
  /** Where a body of this hash and incarnation is put. */
  locationFor(sha256: string, generation: number): string;
  /**
   * Stores a body; durable when it resolves. Doing it twice is no error. A staged file stays where it is, and may share its
   * bytes with the object: it may be removed, but not written to.
   */
  put(location: string, body: StagedBody, signal: AbortSignal): Promise<void>;
  /** Whether an object is there, with the size that it must have. Costs little: nothing of it is read. */
  has(object: KnownObject, signal: AbortSignal): Promise<boolean>;
  /**
   * Opens an object, or a slice of it that must lie within. `undefined`: there is no such object of this size. Whoever gets the
   * stream reads it to its end or cancels it; an abort ends it too. Either releases what it holds. A stream that ends well has
   * had every byte; one that cannot fails.
   */
  open(
    object: KnownObject,
    slice: ByteSlice | undefined,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array> | undefined>;
  /**
   * Opens an object that lies on this machine, for whoever reads it by positions: without a stream, and with less work. `undefined`:
   * there is no such object of this size; `open` looks more closely. Only where objects are local files.
   */
  openFile?(object: KnownObject, signal: AbortSignal): Promise<SeekableBody | undefined>;
  /** Removes an object; that it is not there is success. */
  remove(location: string, signal?: AbortSignal): Promise<void>;
  /**
   * Removes what is left of objects that began to be put before this time (milliseconds since the epoch) and were not finished,
   * where that is no object yet. Returns how many there were.
   */
  removeUnfinished?(before: number, signal: AbortSignal): Promise<number>;
  /** Leaves the object by which its place is known again (`datastore_identity.ts`). Doing it twice is no error. */
  sign(identity: string, signal: AbortSignal): Promise<void>;
  /** Whether that object is there. */
  isSigned(identity: string, signal: AbortSignal): Promise<boolean>;
  /** The path of an object that is a local file, to be read and never changed; only where objects are local files. */
  localPath?(location: string): string;
  /** Releases connections. */
  close(): Promise<void>;
}

/** Finds the store an object lies in, whichever domain put it there. */
export type FindDatastore = (id: string) => Datastore | undefined;
