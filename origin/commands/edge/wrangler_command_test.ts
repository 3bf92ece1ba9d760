import assert from "node:assert/strict";
import { test } from "node:test";
import { LOCAL_BUCKET, localBucketEndpoint } from "../../config/local_bucket.ts";
import { CommandError } from "../trouble/describe_error.ts";
import { dotenv, workerVars, wranglerCommand } from "./wrangler_command.ts";

const LOCAL = { ...LOCAL_BUCKET, endpoint: localBucketEndpoint(8787), region: "auto" };
const settings = {
  data: "data",
  port: 8787,
  originUrl: "http://127.0.0.1:8000",
  hopSecret: "s".repeat(32),
  bucket: LOCAL,
};

test("the Worker is told the origin and the secret; with the local bucket nothing more", () => {
  assert.equal(
    dotenv(workerVars(settings)),
    `ORIGIN_URL='http://127.0.0.1:8000'\nHOP_SECRET='${"s".repeat(32)}'\nTRUST_CF_CONNECTING_IP='false'\n`,
  );
});

test("a bucket of the configuration is reached over S3", () => {
  const bucket = { endpoint: "https://s3.example", bucketName: "m", accessKeyId: "i", accessSecret: "k", region: "" };
  const text = dotenv(workerVars({ ...settings, bucket }));
  assert.match(text, /^S3_ENDPOINT='https:\/\/s3\.example'\nS3_BUCKET='m'$/m);
  assert.match(text, /^S3_REGION='auto'$/m);
  assert.throws(() => workerVars({ ...settings, bucket: { ...bucket, accessKeyId: "" } }), CommandError);
});

test("values are quoted so that dotenv gives them back, or refused", () => {
  assert.match(dotenv({ HOP_SECRET: `it's $HOME "quoted"` }), /^HOP_SECRET=`it's \\\$HOME "quoted"`$/m);
  for (const hopSecret of ["'`\"", "two\nlines"]) assert.throws(() => dotenv({ HOP_SECRET: hopSecret }), CommandError);
});

test("no secret stands among wrangler's arguments, and all its calls home are off", () => {
  const { args, env } = wranglerCommand({ data: "data", port: 8787 });
  assert.ok(!args.join(" ").includes(settings.hopSecret));
  assert.equal(env.WRANGLER_SEND_METRICS, "false");
  assert.equal(env.WRANGLER_SEND_ERROR_REPORTS, "false");
  assert.equal(env.WRANGLER_HIDE_BANNER, "true");
  assert.equal(env.CLOUDFLARE_CF_FETCH_ENABLED, "false");
  assert.match(env.XDG_CONFIG_HOME ?? "", /\/data\/edge\//);
});
