import * as z from "zod";
import { count, flag, httpUrl, needed, text } from "../fields.ts";

const KINDS = ["local_media", "remote_media", "thumbnails", "archives", "all"] as const;
const OPTS_DOC = { description: "Where it is and how to reach it." };
const OPTS_ERROR = { error: "is needed: it says where the store is" };

const shared = {
  id: text("", "Its name in the database. Must never change; without one it is derived from the address of the store."),
  forKinds: z
    .array(z.enum(KINDS, { error: `must be one of ${KINDS.join(", ")}` }), { error: "must be a list of kinds" })
    .default([])
    .meta({
      type: KINDS.join(", "),
      default: [],
      description: "What is stored there. An empty list keeps it readable but stores nothing new in it.",
    }),
  enabled: flag(true, "`false` is the same as an empty `forKinds` (a key of matrix-media-repo 1.2)."),
};

/** Options of a store in a folder. */
const fileOptsSchema = z
  .object(
    {
      path: needed("The folder."),
      fsync: flag(
        true,
        "Wait until each upload is on the disk before it is answered. `false` is faster, and loses what came in the last seconds when the power goes, unless the disk or its file system keeps it.",
      ),
    },
    OPTS_ERROR,
  )
  .meta(OPTS_DOC);

/** Options of a store behind the S3 protocol. */
const s3OptsSchema = z
  .object(
    {
      endpoint: needed("Its host, with a port if need be (`http://` or `https://` in front is understood too)."),
      bucketName: needed("The bucket."),
      accessKeyId: text("", "The key's id. Without one, the credentials of the machine are used."),
      accessSecret: text("", "The key's secret."),
      region: text("", "The region, where the store wants one."),
      ssl: flag(true, "Speak HTTPS with it."),
      storageClass: text("STANDARD", "The storage class of new objects."),
      tempPath: text("", "Where uploads wait until they are stored; empty: the folder of the system."),
      publicBaseUrl: httpUrl("", "Where the objects can be read without credentials; downloads are sent there.", {
        status: "later",
      }),
      redirectWhenCached: flag(false, "Send downloads to `publicBaseUrl` even where a cache has them.", {
        status: "later",
      }),
      prefixLength: count(0, "How many characters of an object's name become a folder.", {
        min: Number.MIN_SAFE_INTEGER,
      }),
      multipartUploads: flag(true, "Store large objects in parts."),
    },
    OPTS_ERROR,
  )
  .meta(OPTS_DOC);

/** `datastores[]`: where the bytes lie. */
export const datastoresSchema = z
  .array(
    z.discriminatedUnion(
      "type",
      [
        z.object({ ...shared, type: z.literal("file"), opts: fileOptsSchema }),
        z.object({ ...shared, type: z.literal("s3"), opts: s3OptsSchema }),
        z.object({
          ...shared,
          type: z.literal("ipfs"),
          opts: z.record(z.string(), z.unknown()).default({}).meta(OPTS_DOC),
        }),
      ],
      { error: "must be file or s3" },
    ),
    { error: "must be a list of datastores" },
  )
  .default([])
  .meta({
    description:
      "Where the bytes lie. Of several stores for a kind, the one that holds least is used. Without the key, one folder ./data/media.",
    domain: true,
    live: true,
  });
