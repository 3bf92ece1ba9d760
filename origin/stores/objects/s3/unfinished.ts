import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type MultipartUpload,
  type S3Client,
} from "@aws-sdk/client-s3";
import { timeout } from "../../../platform/time.ts";
import { isAbsent } from "./s3_errors.ts";

/** Where to look, and for what. */
export interface UnfinishedOptions {
  readonly bucket: string;
  /** Whether objects of this key are ours: others may use the same bucket. */
  readonly isOurs: (key: string) => boolean;
  /** Uploads that began before this time (milliseconds since the epoch) are nobody's any more. */
  readonly before: number;
  readonly signal: AbortSignal;
}

const CALL_MS = 60_000;

/**
 * Throws away the parts of objects that nobody puts any more: a process that is killed leaves them, where no listing shows
 * them. Returns how many there were. Errors: the store's, which may not know such calls, or not allow us to make them.
 */
export async function removeUnfinished(client: S3Client, options: UnfinishedOptions): Promise<number> {
  const { bucket, signal } = options;
  let removed = 0;
  for await (const { Key, UploadId, Initiated } of listUploads(client, bucket, signal)) {
    const isOld = Initiated !== undefined && Initiated.getTime() < options.before;
    if (Key === undefined || UploadId === undefined || !isOld || !options.isOurs(Key)) continue;
    await abort(client, { Bucket: bucket, Key, UploadId }, signal);
    removed += 1;
  }
  return removed;
}

async function* listUploads(client: S3Client, bucket: string, signal: AbortSignal): AsyncGenerator<MultipartUpload> {
  let from: { readonly KeyMarker?: string | undefined; readonly UploadIdMarker?: string | undefined } | undefined = {};
  while (from) {
    const command: ListMultipartUploadsCommand = new ListMultipartUploadsCommand({ Bucket: bucket, ...from });
    const page = await client.send(command, { abortSignal: timeout(CALL_MS, signal) });
    yield* page.Uploads ?? [];
    const { NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = page;
    from = page.IsTruncated && KeyMarker ? { KeyMarker, UploadIdMarker } : undefined;
  }
}

async function abort(
  client: S3Client,
  upload: { readonly Bucket: string; readonly Key: string; readonly UploadId: string },
  signal: AbortSignal,
): Promise<void> {
  try {
    await client.send(new AbortMultipartUploadCommand(upload), { abortSignal: timeout(CALL_MS, signal) });
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
}
