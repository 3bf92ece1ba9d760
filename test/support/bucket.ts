import { Miniflare } from "miniflare";
import type { Lifetime } from "./lifetime.ts";

/** A bucket to try against: its S3 API, as the origin has it, and the same bucket as a Worker's binding has it. */
export interface TestBucket {
  /** URL of the S3 API; buckets stand in the path. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly accessSecret: string;
  readonly r2: Awaited<ReturnType<Miniflare["getR2Bucket"]>>;
}

const BUCKET = "media";
const CREDENTIALS = { accessKeyId: "test-key", secretAccessKey: "test-secret" };
const NOTHING = 'export default { fetch: () => new Response("nothing here", { status: 404 }) }';

/** Starts Miniflare with an empty R2 bucket and its S3 endpoint on a free loopback port, until the test (or suite) is over. */
export async function openTestBucket(t: Lifetime): Promise<TestBucket> {
  const miniflare = new Miniflare({
    modules: true,
    script: NOTHING,
    host: "127.0.0.1",
    port: 0,
    cf: false,
    r2Buckets: { MEDIA: { id: BUCKET, s3Credentials: CREDENTIALS } },
  });
  t.after(() => miniflare.dispose());
  const url = await miniflare.ready;
  return {
    endpoint: new URL("/cdn-cgi/local/r2/s3", url).href,
    bucket: BUCKET,
    accessKeyId: CREDENTIALS.accessKeyId,
    accessSecret: CREDENTIALS.secretAccessKey,
    r2: await miniflare.getR2Bucket("MEDIA"),
  };
}
