import * as z from "zod";
import { flag, httpUrl, port, text } from "../fields.ts";

/** The shortest secret that both tiers accept, in characters. */
export const MIN_SECRET_LENGTH = 32;

const bucketSchema = z
  .object({
    endpoint: httpUrl("", "Where the bucket's S3 API answers, `https://<account>.r2.cloudflarestorage.com`."),
    bucketName: text("", "The bucket that the Worker is bound to."),
    accessKeyId: text("", "The key's id. It must be allowed to read, write, delete and list objects."),
    accessSecret: text("", "The key's secret."),
    region: text("auto", "The region; R2 wants `auto`."),
  })
  .prefault({})
  .meta({
    description: "The bucket of the edge. Where no `endpoint` is named, that of a local edge (`npm run edge`) is used.",
  });

/** `edge`: the other tier. */
export const edgeSchema = z
  .object({
    enabled: flag(false, "There is an edge: publish to its bucket, and believe what it signs. `npm start` sets it."),
    url: httpUrl("", "Where clients reach the edge."),
    hopSecret: text(
      "",
      `The secret that both tiers share, at least ${MIN_SECRET_LENGTH} characters; at the edge it is the Worker's secret HOP_SECRET. \`npm start\` makes one.`,
    ),
    bucket: bucketSchema,
    localPort: port(8787, "The port of a local edge (`npm start`, `npm run edge`)."),
  })
  .prefault({})
  .meta({ description: "The edge: a Cloudflare Worker and its bucket. New with mxcdn.", live: false });
