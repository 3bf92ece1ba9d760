import type { Readable } from "node:stream";
import { PutObjectCommand, type S3Client, type StorageClass } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { isConditionFailed, withRetries } from "./s3_errors.ts";

/** An object to be stored. `size` in bytes; `open` begins at the first byte each time it is called. */
export interface NewObject {
  readonly bucket: string;
  readonly key: string;
  readonly size: number;
  readonly open: () => Promise<Readable>;
  readonly storageClass?: string | undefined;
  /** Leave an object that is there as it is. In one piece only; a large one in parts is written again, with the same bytes. */
  readonly onlyIfAbsent?: boolean;
  /** Whether large objects go in parts, which can be sent again one by one. */
  readonly inParts: boolean;
}

const ATTEMPTS = 3;
const CONTENT_TYPE = "application/octet-stream";
/** Larger objects go in parts. Each part under way is held in memory. */
const ONE_PIECE_BYTES = 32 * 1024 * 1024;
const PART_BYTES = 8 * 1024 * 1024;
const PARTS_AT_ONCE = 2;
/** S3 takes 10,000. */
const MAX_PARTS = 9_000;

/** Stores an object; confirmed by the store when it resolves. */
export async function putObject(client: S3Client, object: NewObject, signal: AbortSignal): Promise<void> {
  const put = object.inParts && object.size > ONE_PIECE_BYTES ? putInParts : putInOnePiece;
  await withRetries(ATTEMPTS, signal, async () => {
    const body = await object.open();
    try {
      await put(client, object, body, signal);
    } finally {
      body.destroy();
    }
  });
}

async function putInOnePiece(client: S3Client, object: NewObject, body: Readable, signal: AbortSignal): Promise<void> {
  const condition = object.onlyIfAbsent ? { IfNoneMatch: "*" } : {};
  const command = new PutObjectCommand({ ...inputOf(object), Body: body, ContentLength: object.size, ...condition });
  try {
    await client.send(command, { abortSignal: signal });
  } catch (error) {
    if (!object.onlyIfAbsent || !isConditionFailed(error)) throw error;
  }
}

async function putInParts(client: S3Client, object: NewObject, body: Readable, signal: AbortSignal): Promise<void> {
  const upload = new Upload({
    client,
    params: { ...inputOf(object), Body: body },
    partSize: Math.max(PART_BYTES, Math.ceil(object.size / MAX_PARTS)),
    queueSize: PARTS_AT_ONCE,
  });
  const abort = () => void upload.abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    signal.throwIfAborted();
    await upload.done();
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function inputOf({ bucket, key, storageClass }: NewObject) {
  return {
    Bucket: bucket,
    Key: key,
    ContentType: CONTENT_TYPE,
    ...(storageClass && storageClass !== "STANDARD" ? { StorageClass: storageClass as StorageClass } : {}),
  };
}
