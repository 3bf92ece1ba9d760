import { ListObjectsV2Command, type S3Client } from "@aws-sdk/client-s3";
import { timeout } from "../../../platform/time.ts";

/** An object of a bucket. Size in bytes. */
export interface BucketObject {
  readonly key: string;
  readonly size: number;
  /** Infinity where the store does not say: nobody is to take it for old. */
  readonly modifiedMs: number;
}

const PAGE_MS = 60_000;

/** Every object whose key begins with `prefix`, page by page. */
export async function* listObjects(
  client: S3Client,
  bucket: string,
  prefix: string,
  signal?: AbortSignal,
): AsyncGenerator<BucketObject> {
  let from: string | undefined;
  do {
    const command = new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ContinuationToken: from });
    const page = await client.send(command, { abortSignal: timeout(PAGE_MS, signal) });
    for (const { Key, Size, LastModified } of page.Contents ?? []) {
      const modifiedMs = LastModified?.getTime() ?? Number.POSITIVE_INFINITY;
      if (Key !== undefined) yield { key: Key, size: Size ?? 0, modifiedMs };
    }
    from = page.IsTruncated ? page.NextContinuationToken : undefined;
  } while (from !== undefined);
}
