import * as z from "zod";
import { bytes, count, flag, needed } from "../fields.ts";

const quotaSchema = z.object({
  glob: needed("Which users: `*` stands for anything, as in `@*:example.org`.").meta({ type: "glob" }),
  maxBytes: bytes(0, "How many bytes they may store in all; 0: no limit."),
  maxPending: count(0, "How many reserved ids they may leave unused; 0: as `uploads.maxPending`."),
  maxFiles: count(0, "How many files they may store in all; 0: no limit."),
});

/** `uploads`: what users may store. */
export const uploadsSchema = z
  .object({
    maxBytes: bytes(104_857_600, "The largest upload; 0: no limit."),
    minBytes: bytes(100, "The smallest upload."),
    reportedMaxBytes: bytes(0, "The limit that clients are told: 0 tells `maxBytes`, -1 tells none.", { min: -1 }),
    maxPending: count(5, "How many ids a user may reserve and leave unused (asynchronous uploads); 0: no limit."),
    maxAgeSeconds: count(1800, "How long a reserved id waits for its upload.", { type: "seconds", least: 1 }),
    quotas: z
      .object({
        enabled: flag(false, "Hold users to the rules below."),
        users: z
          .array(quotaSchema, { error: "must be a list of rules" })
          .default([])
          .meta({ description: "Rules by user. The first whose `glob` matches holds." }),
      })
      .prefault({})
      .meta({ description: "What a user may store in all." }),
  })
  .prefault({})
  .meta({ description: "What users may upload.", domain: true, live: true });
