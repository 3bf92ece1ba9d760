import type { ByteSlice } from "../../../shared/byte_range.ts";

/** A body that was received whole and lies in a local file, waiting to be stored. Size in bytes, SHA-256 in lower-case hex. */
export interface StagedFile {
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
}

/** An object as a datastore lists it. */
export interface ListedObject {
  readonly location: string;
  readonly size: number;
  readonly modifiedMs: number;
}

/** Where bodies lie: a folder, or a bucket of an S3 store. Knows nothing of what the bytes mean. */
export interface Datastore {
  /** As the configuration and the database name it. */
  readonly id: string;
  readonly kind: "file" | "s3";
  /** Which bucket of which S3 store it is. */
  readonly place?: string;
  /** A folder for files that are about to be put: with a file datastore on the same filesystem. Made by who uses it. */
  readonly stagingFolder: string;
  /** Where a body of this hash and incarnation is put. Never the same for two incarnations. */
  locationFor(sha256: string, generation: number): string;
  /**
   * Stores a file; durable when it resolves. Doing it twice is no error. The staged file stays where it is, and may share its
   * bytes with the object: it may be removed, but not written to.
   */
  put(location: string, file: StagedFile, signal: AbortSignal): Promise<void>;
  /**
   * Opens an object, or a slice of it that must lie within. `undefined`: there is no such object. Whoever gets the stream
   * reads it to its end or cancels it; an abort ends it too. Either releases what it holds.
   */
  open(
    location: string,
    slice: ByteSlice | undefined,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array> | undefined>;
  /** Removes an object; that it is not there is success. */
  remove(location: string): Promise<void>;
  /** Every object, in no certain order, including those that others put there: see {@link parseObjectName}. */
  list(): AsyncIterable<ListedObject>;
  /** The path of an object that is a local file, to be read and never changed; only where objects are local files. */
  localPath?(location: string): string;
  /** Releases connections. */
  close(): Promise<void>;
}
