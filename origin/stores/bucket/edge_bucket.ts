import { Readable } from "node:stream";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import { DeleteObjectCommand, HeadObjectCommand } from "@aws-sdk/client-s3";
import { timeout } from "../../platform/time.ts";
import type { Datastore } from "../objects/datastore.ts";
import { type BucketObject, listObjects } from "../objects/s3/list_objects.ts";
import { makePartsQueue } from "../objects/s3/put_in_parts.ts";
import { putObject } from "../objects/s3/put_object.ts";
import { bucketPlace, makeS3Client, type S3ClientOptions } from "../objects/s3/s3_client.ts";
import { isAbsent, withRetries } from "../objects/s3/s3_errors.ts";
import { removeUnfinished } from "../objects/s3/unfinished.ts";
import { probeConditions } from "./condition_probe.ts";
import { type EdgeDocument, readDocument, type Written, writeDocument } from "./documents.ts";

/** A copy of a body, as the bucket lists it. */
export interface EdgeBody {
  readonly key: string;
  readonly sha256: string;
  readonly generation: number;
  readonly size: number;
  /** Infinity where it is not known: such a copy is never old. */
  readonly modifiedMs: number;
}

/**
 * The edge bucket, written by the origin alone (docs/architecture.md). Bodies never change; documents (descriptors, verdicts, keys) are
 * replaced by documents of a larger generation only. What resolves was confirmed by the store. `signal` bounds a call with
 * all its tries; without one it has 30 s.
 */
export interface EdgeBucket {
  /** Whether a body is there. */
  hasBody(key: string, signal?: AbortSignal): Promise<boolean>;
  /**
   * Puts a body of `size` bytes unless it is there; `open` is called only when it has to be sent, each time for all of it.
   * Throws at once where so many large ones are under way that memory is short.
   */
  putBody(
    key: string,
    size: number,
    open: () => Promise<ReadableStream<Uint8Array>>,
    signal?: AbortSignal,
  ): Promise<"written" | "present">;
  /** Removes a body that nothing names any more; that it is not there is success. */
  removeBody(key: string, signal?: AbortSignal): Promise<void>;
  /** Every copy of a body, for the sweeper. */
  listBodies(signal?: AbortSignal): AsyncIterable<EdgeBody>;
  /** Throws away what is left of bodies that began to be put before this time (milliseconds), and were not finished. */
  removeUnfinished(before: number, signal: AbortSignal): Promise<number>;
  /** Every signing key of another server, for the sweeper. */
  listServerKeys(signal?: AbortSignal): AsyncIterable<Pick<BucketObject, "key" | "modifiedMs">>;
  /** Writes a document, unless the one that is there is as new or newer ("superseded"): see `documents.ts`. */
  writeDocument(key: string, document: EdgeDocument, signal?: AbortSignal): Promise<Written>;
  /** The document under a key, unchecked but for its generation; undefined where there is none that can be read. */
  readDocument(key: string, signal?: AbortSignal): Promise<EdgeDocument | undefined>;
  /**
   * Removes a document that is still of this generation (a tombstone whose time is over, a verdict that has expired). One
   * that replaces it at the same moment may go with it: the edge then asks the origin, which writes it again.
   */
  removeDocument(key: string, generation: number, signal?: AbortSignal): Promise<void>;
  /**
   * Whether the store carries conditional writes, on which the order of generations stands. Throws when the store can't be
   * reached or refuses us. `id`: a name that no other probe uses at the same time.
   */
  probe(id: string, signal?: AbortSignal): Promise<{ conditionalWrites: boolean }>;
  /** Whether a datastore is this same bucket: then its objects need no copy. */
  isSameBucket(store: Pick<Datastore, "place">): boolean;
  /** Releases connections. */
  close(): Promise<void>;
}

/** How long one call may take, all its tries together, where the caller does not say. */
const PATIENCE_MS = 30_000;
const REMOVAL_ATTEMPTS = 5;
const BODY_KEY = /^b\/([0-9a-f]{64})-(\d{1,16})$/;

/** The edge bucket as the origin reaches it. */
export function makeEdgeBucket(options: S3ClientOptions): EdgeBucket {
  const client = makeS3Client(options);
  const bucket = options.bucketName;
  const place = bucketPlace(options);
  // Who finds no room does not wait: there is always a next miss.
  const parts = makePartsQueue(0);

  async function hasBody(key: string, signal = patience()): Promise<boolean> {
    try {
      await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: signal });
      return true;
    } catch (error) {
      if (isAbsent(error)) return false;
      throw error;
    }
  }

  async function remove(key: string, signal: AbortSignal): Promise<void> {
    const command = new DeleteObjectCommand({ Bucket: bucket, Key: key });
    await withRetries(REMOVAL_ATTEMPTS, signal, () => client.send(command, { abortSignal: signal })).catch((error) => {
      if (!isAbsent(error)) throw error;
    });
  }

  return {
    hasBody,
    async putBody(key, size, open, signal = patience()) {
      // Asked first, so that a large body is not sent only to be refused.
      if (await hasBody(key, timeout(PATIENCE_MS, signal))) return "present";
      const openNode = async () => owned(Readable.fromWeb((await open()) as NodeReadableStream<Uint8Array>));
      const object = { bucket, key, size, open: openNode, onlyIfAbsent: true, inParts: true };
      await putObject(client, object, { signal, parts });
      return "written";
    },
    removeBody: (key, signal = patience()) => remove(key, signal),
    async *listBodies(signal) {
      for await (const { key, size, modifiedMs } of listObjects(client, bucket, "b/", signal)) {
        const [, sha256, generation] = BODY_KEY.exec(key) ?? [];
        if (sha256 && generation) yield { key, sha256, generation: Number(generation), size, modifiedMs };
      }
    },
    removeUnfinished: (before, signal) =>
      removeUnfinished(client, { bucket, isOurs: (key) => BODY_KEY.test(key), before, signal }),
    listServerKeys: (signal) => listObjects(client, bucket, "k/", signal),
    writeDocument: (key, document, signal = patience()) => writeDocument(client, { bucket, key }, document, signal),
    async readDocument(key, signal = patience()) {
      return (await readDocument(client, { bucket, key }, signal))?.document;
    },
    async removeDocument(key, generation, signal = patience()) {
      const present = await readDocument(client, { bucket, key }, signal);
      if (present?.document?.gen === generation) await remove(key, signal);
    },
    async probe(id, signal = patience()) {
      return { conditionalWrites: await probeConditions(client, { bucket, key: `probe/${id}` }, signal) };
    },
    isSameBucket: (store) => store.place === place,
    async close() {
      client.destroy();
    },
  };
}

/** With a listener for its error from the moment it is there: whoever reads it gets the error, too. */
function owned(body: Readable): Readable {
  return body.on("error", () => undefined);
}

function patience(): AbortSignal {
  return AbortSignal.timeout(PATIENCE_MS);
}
