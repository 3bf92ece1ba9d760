import { AwsClient } from "aws4fetch";
import type { ByteSlice } from "../shared/http/byte_range.ts";
import { withDeadline } from "./cache/deadline.ts";
import type { EdgeConfig, S3Config } from "./env.ts";

/** The bytes of a body, untouched, and how many the whole object has. */
export interface StoredBody {
  readonly bytes: ReadableStream<Uint8Array>;
  readonly totalBytes: number | undefined;
}

/**
 * The edge bucket, as the edge knows it: it reads, and nothing else. `undefined` means that there is no such object; whatever
 * else goes wrong throws (also a wait of more than five seconds), because an error of the store is not "absent".
 */
export interface BucketReader {
  /** A small document. */
  readText(key: string): Promise<string | undefined>;
  /** A body, or a slice of it that lies inside it. */
  readBody(key: string, slice: ByteSlice | undefined): Promise<StoredBody | undefined>;
}

/** Longest wait for the store, in milliseconds: for a whole document, or for the first byte of a body. */
const STORE_WAIT_MS = 5_000;

/** No descriptor or verdict comes near this, in bytes. */
const MAX_DOCUMENT_BYTES = 65_536;

/** The bucket that the configuration names. */
export function openBucket(config: EdgeConfig["bucket"]): BucketReader {
  return config.kind === "r2" ? r2Reader(config.binding) : s3Reader(config.s3);
}

/** The bucket through Cloudflare's binding. */
export function r2Reader(bucket: R2Bucket): BucketReader {
  return {
    async readText(key) {
      return await withDeadline(STORE_WAIT_MS, "reading a document", () => readDocument(bucket, key));
    },
    async readBody(key, slice) {
      const range = slice ? { range: { offset: slice.offset, length: slice.length } } : {};
      const open = () => bucket.get(key, range);
      const object = await withDeadline(STORE_WAIT_MS, "opening a body", open, (late) => late?.body.cancel());
      return object ? { bytes: object.body, totalBytes: object.size } : undefined;
    },
  };
}

async function readDocument(bucket: R2Bucket, key: string): Promise<string | undefined> {
  const object = await bucket.get(key);
  if (!object) return undefined;
  await requireSmall(object.size, object.body);
  return await object.text();
}

/** The bucket through any store's S3 API. */
export function s3Reader(config: S3Config): BucketReader {
  const { accessKeyId, secretAccessKey, region } = config;
  const signer = new AwsClient({ accessKeyId, secretAccessKey, region, service: "s3", retries: 0 });

  async function get(key: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response | undefined> {
    const request = await signer.sign(`${config.endpoint}/${config.bucket}/${encodeKey(key)}`, { headers });
    // Not signed, because proxies rewrite it: the bytes are wanted as they lie there.
    request.headers.set("accept-encoding", "identity");
    const response = await fetch(request, { signal, redirect: "manual" });
    if (response.status === 200 || response.status === 206) return response;
    await response.body?.cancel();
    if (response.status === 404) return undefined;
    throw new Error(`the bucket answered ${response.status}`);
  }

  return {
    async readText(key) {
      return await withDeadline(STORE_WAIT_MS, "reading a document", async (signal) => {
        const response = await get(key, {}, signal);
        if (!response) return undefined;
        await requireSmall(Number(response.headers.get("content-length") ?? 0), response.body);
        return await response.text();
      });
    },
    async readBody(key, slice) {
      const headers: Record<string, string> = {};
      if (slice) headers.range = `bytes=${slice.offset}-${slice.offset + slice.length - 1}`;
      const response = await withDeadline(STORE_WAIT_MS, "opening a body", (signal) => get(key, headers, signal));
      if (!response?.body) return undefined;
      if (response.status === (slice ? 206 : 200)) return { bytes: response.body, totalBytes: totalBytes(response) };
      await response.body.cancel();
      throw new Error("the bucket did not honour a range");
    },
  };
}

function totalBytes(response: Response): number | undefined {
  const ranged = response.headers.get("content-range")?.split("/")[1];
  const text = response.status === 206 ? ranged : response.headers.get("content-length");
  return text && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** Server names hold colons and brackets; each segment is encoded, the slashes between them are not. */
function encodeKey(key: string): string {
  return key.split("/").map(encodeURIComponent).join("/");
}

async function requireSmall(bytes: number, body: ReadableStream | null): Promise<void> {
  if (bytes <= MAX_DOCUMENT_BYTES) return;
  await body?.cancel();
  throw new Error(`a document of ${bytes} bytes is too large to be ours`);
}
