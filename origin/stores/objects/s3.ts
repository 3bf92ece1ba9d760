import { createReadStream } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { DeleteObjectCommand, HeadObjectCommand, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import type { ByteSlice } from "../../../shared/http/byte_range.ts";
import { timeout } from "../../platform/time.ts";
import type { Datastore, KnownObject, StagedBody } from "./datastore.ts";
import { IDENTITY_TEXT, identityName } from "./datastore_identity.ts";
import { objectName, parseObjectName } from "./object_name.ts";
import { makePartsQueue } from "./s3/put_in_parts.ts";
import { putObject } from "./s3/put_object.ts";
import { hasObject, type ReadPatience, readObject } from "./s3/read_object.ts";
import { bucketPlace, makeS3Client, type S3ClientOptions } from "./s3/s3_client.ts";
import { isAbsent, statusOf } from "./s3/s3_errors.ts";
import { Seats } from "./s3/seats.ts";
import { removeUnfinished } from "./s3/unfinished.ts";
import { cannotRead, cannotStore, telling } from "./store_trouble.ts";

/** A bucket as a datastore, by the names of matrix-media-repo's options. */
export interface S3DatastoreOptions extends S3ClientOptions {
  readonly id: string;
  /** Where uploads wait until they are stored. Without it: the system's folder for temporary files. */
  readonly tempPath?: string | undefined;
  readonly storageClass?: string | undefined;
  /** This many characters of an object's name, at most 16, become a folder. */
  readonly prefixLength?: number | undefined;
  /** Whether large files are sent in parts. Default: they are. */
  readonly multipartUploads?: boolean | undefined;
  /** How many bodies are read at once, and for how long the store is waited for. */
  readonly limits?: Partial<S3Limits>;
}

/** Times in milliseconds. */
interface S3Limits extends ReadPatience {
  readonly readers: number;
}

const LONGEST_PREFIX = 16;
/** For what moves no body. */
const SMALL_MS = 30_000;
const READ_BYTES = 256 * 1024;
/** Each keeps a connection. */
const READERS = 512;
/** A phone that pauses a film may do so as long as there are connections left; when there are none, for no longer than this. */
const REST_MS = 60_000;
/** Until a store begins to answer: a client waits for it. */
const ANSWER_MS = 10_000;
/** How many large objects wait to be put, while as many are on their way as memory is set aside for. */
const WAITING_PUTS = 64;

const NOT_SEEN: ReadonlySet<number | undefined> = new Set([403, 404]);

/** A bucket of an S3 store as a datastore. Readers, who may take their time, have connections of their own. */
export function makeS3Datastore(options: S3DatastoreOptions): Datastore {
  return new S3Datastore(options);
}

class S3Datastore implements Datastore {
  readonly id: string;
  readonly kind = "s3";
  readonly stagingFolder: string;
  readonly place: string;
  readonly #reading: S3Client;
  readonly #client: S3Client;
  readonly #options: S3DatastoreOptions;
  readonly #patience: ReadPatience;
  readonly #seats: Seats;
  readonly #parts = makePartsQueue(WAITING_PUTS);

  constructor(options: S3DatastoreOptions) {
    this.id = options.id;
    this.stagingFolder = join(options.tempPath || tmpdir(), "mxcdn-staging");
    this.place = bucketPlace(options);
    const { readers = READERS, ...patience } = options.limits ?? {};
    this.#reading = makeS3Client(options, readers);
    this.#client = makeS3Client(options);
    this.#options = options;
    this.#patience = { answerMs: ANSWER_MS, ...patience };
    this.#seats = new Seats({
      atOnce: readers,
      restMs: REST_MS,
      full: () => new Error("Too many bodies are being read"),
    });
  }

  locationFor(sha256: string, generation: number): string {
    return objectName(this.locationStem(sha256), generation);
  }

  locationStem(sha256: string): string {
    const length = Math.min(Math.max(this.#options.prefixLength ?? 0, 0), LONGEST_PREFIX);
    return length === 0 ? sha256 : `${sha256.slice(0, length)}/${sha256.slice(length)}`;
  }

  async put(location: string, body: StagedBody, signal: AbortSignal): Promise<void> {
    const { bucketName: bucket, storageClass, multipartUploads } = this.#options;
    const open = async () => bytesOf(body);
    const inParts = multipartUploads !== false;
    const object = { bucket, key: location, size: body.size, open, storageClass, inParts };
    const { silenceMs } = this.#patience;
    await telling(cannotStore, signal, () =>
      putObject(this.#client, object, { signal, parts: this.#parts, silenceMs }),
    );
  }

  async has({ location, size }: KnownObject, signal: AbortSignal): Promise<boolean> {
    const object = { bucket: this.#options.bucketName, key: location, size };
    return await telling(cannotRead, signal, () => hasObject(this.#client, object, signal, this.#patience));
  }

  async open(
    { location, size }: KnownObject,
    slice: ByteSlice | undefined,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array> | undefined> {
    const object = { bucket: this.#options.bucketName, key: location, size, slice };
    const how = { signal, seats: this.#seats, patience: this.#patience };
    return await telling(cannotRead, signal, () => readObject(this.#reading, object, how));
  }

  async remove(location: string, signal?: AbortSignal): Promise<void> {
    const command = new DeleteObjectCommand({ Bucket: this.#options.bucketName, Key: location });
    try {
      await this.#client.send(command, { abortSignal: timeout(SMALL_MS, signal) });
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
  }

  async removeUnfinished(before: number, signal: AbortSignal): Promise<number> {
    const isOurs = (key: string) => parseObjectName(key) !== undefined;
    return await removeUnfinished(this.#client, { bucket: this.#options.bucketName, isOurs, before, signal });
  }

  async sign(identity: string, signal: AbortSignal): Promise<void> {
    await this.#leave(identityName(identity), IDENTITY_TEXT, signal);
  }

  async isSigned(identity: string, signal: AbortSignal): Promise<boolean> {
    const command = new HeadObjectCommand({ Bucket: this.#options.bucketName, Key: identityName(identity) });
    try {
      await this.#client.send(command, { abortSignal: timeout(this.#patience.answerMs, signal) });
      return true;
    } catch (error) {
      // Whoever may not list a bucket is not told either that an object is absent; a bucket that is gone has none.
      if (NOT_SEEN.has(statusOf(error))) return false;
      throw error;
    }
  }

  /** Leaves a small object for good. */
  async #leave(name: string, text: string, signal?: AbortSignal): Promise<void> {
    const object = { Bucket: this.#options.bucketName, Key: name, Body: text, ContentType: "text/plain" };
    await this.#client.send(new PutObjectCommand(object), { abortSignal: timeout(SMALL_MS, signal) });
  }

  async close(): Promise<void> {
    this.#reading.destroy();
    this.#client.destroy();
  }
}

function bytesOf(body: StagedBody): Readable {
  if ("path" in body) return createReadStream(body.path, { highWaterMark: READ_BYTES });
  return Readable.from([body.bytes], { objectMode: false });
}
