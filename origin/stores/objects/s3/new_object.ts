import type { Readable } from "node:stream";
import type { StorageClass } from "@aws-sdk/client-s3";

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

const CONTENT_TYPE = "application/octet-stream";

/** What every request that begins to store it says of it. */
export function objectInput({ bucket, key, storageClass }: NewObject) {
  return {
    Bucket: bucket,
    Key: key,
    ContentType: CONTENT_TYPE,
    ...(storageClass && storageClass !== "STANDARD" ? { StorageClass: storageClass as StorageClass } : {}),
  };
}
