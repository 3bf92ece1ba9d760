import * as z from "zod/mini";

/** What `wrangler.toml`, `wrangler secret` and the dashboard may set. Read once, by {@link readConfig}. */
export interface Env {
  /** The edge bucket; not needed where the bucket is reached over S3. */
  readonly BUCKET?: R2Bucket;
  /** Where the origin answers: scheme, host and port only. */
  readonly ORIGIN_URL?: string;
  /** The secret that signs the hop to the origin (`edge.hopSecret` there). */
  readonly HOP_SECRET?: string;
  /** `true`: the address in `CF-Connecting-IP` is the client's. True on Cloudflare only; elsewhere anybody can write that header. */
  readonly TRUST_CF_CONNECTING_IP?: string | boolean;
  /** Longest wait for the origin's first byte, in milliseconds. */
  readonly ORIGIN_TIMEOUT_MS?: string | number;
  /** The edge bucket over S3 instead of the binding, for a bucket that is not R2. All of them, or none. */
  readonly S3_ENDPOINT?: string;
  readonly S3_BUCKET?: string;
  readonly S3_ACCESS_KEY_ID?: string;
  readonly S3_SECRET_ACCESS_KEY?: string;
  /** `auto` where it is not set. */
  readonly S3_REGION?: string;
}

/** A bucket reached over S3, in path style. */
export interface S3Config {
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** The edge's configuration, with every field present. */
export interface EdgeConfig {
  /** Without a slash at its end. */
  readonly originUrl: string;
  readonly hopSecret: string;
  readonly trustConnectingIp: boolean;
  readonly originTimeoutMs: number;
  readonly bucket: { readonly kind: "r2"; readonly binding: R2Bucket } | { readonly kind: "s3"; readonly s3: S3Config };
}

/**
 * Longer than the origin takes to say that it cannot get media of another server, so that it is the origin that answers: half a
 * minute until it is its turn, a minute until it is uploaded there, two (`timeouts.federationTimeoutSeconds`) until it is here,
 * and then it is stored. What comes without a length is answered only then.
 */
const ORIGIN_TIMEOUT_MS = 300_000;

const text = z.string().check(z.minLength(1));

const schema = z.object({
  ORIGIN_URL: z
    .string("Set ORIGIN_URL to the address of the origin")
    .check(z.refine(isOrigin, "ORIGIN_URL must be like https://media.example.org: scheme, host and port only")),
  HOP_SECRET: z.string("Set HOP_SECRET to edge.hopSecret of the origin").check(z.minLength(1)),
  TRUST_CF_CONNECTING_IP: z._default(z.union([z.boolean(), z.enum(["true", "false", ""])]), false),
  ORIGIN_TIMEOUT_MS: z._default(z.coerce.number().check(z.int(), z.positive()), ORIGIN_TIMEOUT_MS),
});

const s3Schema = z.object({
  S3_ENDPOINT: z.string().check(z.refine((value) => URL.canParse(value), "S3_ENDPOINT must be a URL")),
  S3_BUCKET: text,
  S3_ACCESS_KEY_ID: text,
  S3_SECRET_ACCESS_KEY: text,
  S3_REGION: z._default(text, "auto"),
});

/** Reads and checks the environment once. Throws an Error that names each variable that is wrong, never its value. */
export function readConfig(env: Env): EdgeConfig {
  const read = requireValid(schema, env);
  return {
    originUrl: new URL(read.ORIGIN_URL).origin,
    hopSecret: read.HOP_SECRET,
    trustConnectingIp: String(read.TRUST_CF_CONNECTING_IP) === "true",
    originTimeoutMs: read.ORIGIN_TIMEOUT_MS,
    bucket: readBucket(env),
  };
}

function readBucket(env: Env): EdgeConfig["bucket"] {
  if (!env.S3_ENDPOINT) {
    if (env.BUCKET) return { kind: "r2", binding: env.BUCKET };
    throw new Error("Cannot start the edge: bind the R2 bucket as BUCKET, or set the S3_* variables");
  }
  const s3 = requireValid(s3Schema, env);
  return {
    kind: "s3",
    s3: {
      endpoint: s3.S3_ENDPOINT.replace(/\/+$/, ""),
      bucket: s3.S3_BUCKET,
      region: s3.S3_REGION,
      accessKeyId: s3.S3_ACCESS_KEY_ID,
      secretAccessKey: s3.S3_SECRET_ACCESS_KEY,
    },
  };
}

function requireValid<T extends z.ZodMiniType>(type: T, env: Env): z.infer<T> {
  const result = type.safeParse(env);
  if (result.success) return result.data;
  const wrong = result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  throw new Error(`Cannot start the edge: ${wrong.join("; ")}`);
}

function isOrigin(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const url = new URL(value);
  return /^https?:$/.test(url.protocol) && url.pathname === "/" && url.search === "" && url.username === "";
}
