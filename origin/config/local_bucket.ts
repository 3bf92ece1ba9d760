/** The bucket of a local edge, as this repository's `wrangler.toml` names it and lets itself be written to. */
export const LOCAL_BUCKET = { bucketName: "mxcdn", accessKeyId: "local", accessSecret: "local-secret" } as const;

/** The path under which a local edge serves its buckets over S3. */
export const LOCAL_S3_PATH = "/cdn-cgi/local/r2/s3";

/** Where a local edge on this port answers the bucket's S3 API. */
export function localBucketEndpoint(port: number): string {
  return `http://127.0.0.1:${port}${LOCAL_S3_PATH}`;
}
