import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { LOCAL_BUCKET, localBucketEndpoint } from "../../config/local_bucket.ts";
import type { Config } from "../../config/schema.ts";
import { CommandError } from "../trouble/describe_error.ts";

/** What a local edge is told: the variables of the Worker, and the command line of `wrangler dev`. */

/** The top folder of this repository. */
export const TOP = fileURLToPath(new URL("../../../", import.meta.url));

/** How to run a local edge. */
export interface EdgeSettings {
  /** The folder for everything that is kept: `edge/` inside it. */
  readonly data: string;
  readonly port: number;
  readonly originUrl: string;
  readonly hopSecret: string;
  /** The bucket of the configuration. */
  readonly bucket: Config["edge"]["bucket"];
}

/** A command to spawn. */
export interface Command {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** The file with the variables for `wrangler dev`, the secrets among them. Nothing secret stands in an argument. */
export function varsFile(data: string): string {
  return resolve(data, "edge", "vars.env");
}

/**
 * What the Worker is told beside `wrangler.toml`: where the origin is, the shared secret and, unless the bucket is the one that
 * a local edge brings along, how to reach the bucket over S3. Throws `CommandError` for a bucket that it cannot reach.
 */
export function workerVars({ port, originUrl, hopSecret, bucket }: EdgeSettings): Readonly<Record<string, string>> {
  const isLocal = bucket.endpoint === localBucketEndpoint(port) && bucket.bucketName === LOCAL_BUCKET.bucketName;
  // On Cloudflare only Cloudflare sets this header; here any client could.
  const fixed = { TRUST_CF_CONNECTING_IP: "false" };
  return { ORIGIN_URL: originUrl, HOP_SECRET: hopSecret, ...fixed, ...(isLocal ? {} : s3Vars(bucket)) };
}

/** Formats variables as a file that `wrangler dev` reads. Throws `CommandError` for a value that this format cannot hold. */
export function dotenv(vars: Readonly<Record<string, string>>): string {
  return Object.entries(vars)
    .map(([name, value]) => `${name}=${quote(name, value)}\n`)
    .join("");
}

function s3Vars(bucket: EdgeSettings["bucket"]): Record<string, string> {
  if (bucket.accessKeyId === "") {
    throw new CommandError("edge.bucket.accessKeyId is needed: a local edge cannot use the credentials of the machine");
  }
  return {
    S3_ENDPOINT: bucket.endpoint,
    S3_BUCKET: bucket.bucketName,
    S3_ACCESS_KEY_ID: bucket.accessKeyId,
    S3_SECRET_ACCESS_KEY: bucket.accessSecret,
    S3_REGION: bucket.region || "auto",
  };
}

/** dotenv has three kinds of quotes and no escape for them; it would expand `$`. */
function quote(name: string, value: string): string {
  const mark = ["'", "`", '"'].find((one) => !value.includes(one));
  if (mark === undefined || /[\r\n]/.test(value)) {
    throw new CommandError(`cannot tell the edge ${name}: it holds all kinds of quotes, or a line break`);
  }
  return `${mark}${value.replaceAll("$", "\\$")}${mark}`;
}

function findWrangler(): string {
  try {
    return createRequire(import.meta.url).resolve("wrangler");
  } catch (error) {
    throw new CommandError("wrangler, which runs a local edge, is not installed; run `npm ci`", { cause: error });
  }
}

/** The command that runs `wrangler dev` with this repository's `wrangler.toml`, without telemetry. Throws `CommandError` if wrangler is not installed. */
export function wranglerCommand({ data, port }: Pick<EdgeSettings, "data" | "port">): Command {
  const inEdge = (name: string) => resolve(data, "edge", name);
  return {
    args: [
      "--no-warnings",
      findWrangler(),
      "dev",
      ...["--config", join(TOP, "wrangler.toml")],
      ...["--ip", "127.0.0.1", "--port", String(port), "--inspector-port", "0"],
      ...["--persist-to", inEdge("state"), "--env-file", varsFile(data)],
      ...["--local", "--show-interactive-dev-session=false", "--types=false"],
    ],
    env: {
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_SEND_ERROR_REPORTS: "false",
      WRANGLER_HIDE_BANNER: "true",
      CLOUDFLARE_CF_FETCH_ENABLED: "false",
      WRANGLER_LOG: "error",
      WRANGLER_WRITE_LOGS: "false",
      WRANGLER_REGISTRY_PATH: inEdge("registry"),
      XDG_CONFIG_HOME: inEdge("config"),
      XDG_CACHE_HOME: inEdge("cache"),
      NO_COLOR: "1",
    },
  };
}
