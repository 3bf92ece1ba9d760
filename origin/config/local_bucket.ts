/** The bucket of a local edge, as this repository's `wrangler.toml` names it and lets itself be written to. */
export const LOCAL_BUCKET = { bucketName: "mxcdn", accessKeyId: "local", accessSecret: "local-secret" } as const;

/** Where `wrangler dev` on this port answers the bucket's S3 API. */
export function localBucketEndpoint(port: number): string {
  return `http://127.0.0.1:${port}/cdn-cgi/local/r2/s3`;
}
