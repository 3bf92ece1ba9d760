import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parse } from "smol-toml";
import * as z from "zod";
import { CommandError } from "../trouble/describe_error.ts";

/** Reads `wrangler.toml` for the local edge. */

/** The part of `wrangler.toml` that a local Worker needs. */
export interface WorkerSettings {
  readonly name: string;
  /** The Worker's main module, as an absolute path. */
  readonly main: string;
  readonly compatibilityDate: string;
  readonly compatibilityFlags: readonly string[];
  readonly vars: Readonly<Record<string, z.core.util.JSONType>>;
  readonly buckets: readonly WorkerBucket[];
}

/** A bucket bound to the Worker. */
export interface WorkerBucket {
  readonly binding: string;
  readonly name: string;
  /** Where there are any, the local bucket can be reached over S3 with them. */
  readonly s3: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
}

const bucketSchema = z.object({
  binding: z.string(),
  bucket_name: z.string(),
  local_dev: z
    .object({
      experimental_s3_credentials: z.object({ accessKeyId: z.string(), secretAccessKey: z.string() }).optional(),
    })
    .optional(),
});

/** Keys that matter on Cloudflare only; the local edge ignores them. */
const ELSEWHERE = [
  ...["$schema", "account_id", "send_metrics", "workers_dev", "preview_urls", "route", "routes", "env"],
  ...["observability", "logpush", "placement", "limits", "triggers", "keep_vars", "minify", "upload_source_maps"],
];

const schema = z.strictObject({
  ...Object.fromEntries(ELSEWHERE.map((key) => [key, z.unknown().optional()])),
  name: z.string(),
  main: z.string(),
  compatibility_date: z.string().regex(/^\d{4}-\d{2}-\d{2}$/),
  compatibility_flags: z.array(z.string()).default([]),
  vars: z.record(z.string(), z.json()).default({}),
  r2_buckets: z.array(bucketSchema).default([]),
});

/**
 * Reads `wrangler.toml`, the one place where the Worker is described. (wrangler's own reader takes 1.5 s and 100 MB to be
 * loaded.)
 *
 * Errors: `CommandError` for a file that cannot be read, and for a key that the local edge does not know what to do with.
 */
export async function readWorkerSettings(file: string): Promise<WorkerSettings> {
  const read = schema.safeParse(await readToml(file));
  if (!read.success) throw new CommandError(`${file} cannot be used by the local edge: ${problems(read.error)}`);
  const { name, main, vars, r2_buckets } = read.data;
  return {
    ...{ name, vars },
    main: resolve(dirname(file), main),
    compatibilityDate: read.data.compatibility_date,
    compatibilityFlags: read.data.compatibility_flags,
    buckets: r2_buckets.map(({ binding, bucket_name, local_dev }) => ({
      ...{ binding, name: bucket_name, s3: local_dev?.experimental_s3_credentials },
    })),
  };
}

async function readToml(file: string): Promise<unknown> {
  try {
    return parse(await readFile(file, "utf8"));
  } catch (error) {
    throw new CommandError(`cannot read ${file}: ${(error as Error).message}`, { cause: error });
  }
}

function problems(error: z.ZodError): string {
  const lines = error.issues.map((issue) => {
    if (issue.code !== "unrecognized_keys") return `${issue.path.join(".")}: ${issue.message}`;
    return `it does not run \`${issue.keys.join("`, `")}\` (\`npm run dev:edge\` runs the Worker under wrangler)`;
  });
  return lines.join("; ");
}
