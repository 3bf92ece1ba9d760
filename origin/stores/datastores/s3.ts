import { createReadStream } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { DeleteObjectCommand, GetObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import type { ByteSlice } from "../../../shared/byte_range.ts";
import { bodyStream } from "../s3/body_stream.ts";
import { listObjects } from "../s3/list_objects.ts";
import { putObject } from "../s3/put_object.ts";
import { bucketPlace, makeS3Client, type S3ClientOptions } from "../s3/s3_client.ts";
import { isAbsent } from "../s3/s3_errors.ts";
import { watchSilence } from "../s3/silence.ts";
import type { Datastore, ListedObject, StagedFile } from "./datastore.ts";
import { objectName } from "./object_name.ts";

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
}

const LONGEST_PREFIX = 16;
const REMOVAL_MS = 30_000;
const READ_BYTES = 256 * 1024;

/** A bucket of an S3 store as a datastore. */
export function makeS3Datastore(options: S3DatastoreOptions): Datastore {
  return new S3Datastore(options);
}

class S3Datastore implements Datastore {
  readonly id: string;
  readonly kind = "s3";
  readonly stagingFolder: string;
  readonly place: string;
  readonly #client: S3Client;
  readonly #options: S3DatastoreOptions;

  constructor(options: S3DatastoreOptions) {
    this.id = options.id;
    this.stagingFolder = join(options.tempPath || tmpdir(), "mxcdn-staging");
    this.place = bucketPlace(options);
    this.#client = makeS3Client(options);
    this.#options = options;
  }

  locationFor(sha256: string, generation: number): string {
    const name = objectName(sha256, generation);
    const length = Math.min(Math.max(this.#options.prefixLength ?? 0, 0), LONGEST_PREFIX);
    return length === 0 ? name : `${name.slice(0, length)}/${name.slice(length)}`;
  }

  async put(location: string, file: StagedFile, signal: AbortSignal): Promise<void> {
    const { bucketName: bucket, storageClass, multipartUploads } = this.#options;
    const open = async () => createReadStream(file.path, { highWaterMark: READ_BYTES });
    const inParts = multipartUploads !== false;
    const object = { bucket, key: location, size: file.size, open, storageClass, inParts };
    await putObject(this.#client, object, signal);
  }

  async open(
    location: string,
    slice: ByteSlice | undefined,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array> | undefined> {
    const range = slice && { Range: `bytes=${slice.offset}-${slice.offset + slice.length - 1}` };
    const command = new GetObjectCommand({ Bucket: this.#options.bucketName, Key: location, ...range });
    const silence = watchSilence();
    try {
      const { Body } = await this.#client.send(command, { abortSignal: AbortSignal.any([signal, silence.signal]) });
      return bodyStream(Body as Readable, signal);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw silence.signal.reason ?? error;
    } finally {
      silence.stop();
    }
  }

  async remove(location: string): Promise<void> {
    const command = new DeleteObjectCommand({ Bucket: this.#options.bucketName, Key: location });
    try {
      await this.#client.send(command, { abortSignal: AbortSignal.timeout(REMOVAL_MS) });
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
  }

  async *list(): AsyncGenerator<ListedObject> {
    for await (const { key, size, modifiedMs } of listObjects(this.#client, this.#options.bucketName, "")) {
      yield { location: key, size, modifiedMs };
    }
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }
}
