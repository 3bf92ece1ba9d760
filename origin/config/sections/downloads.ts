import * as z from "zod";
import { bytes, count, flag } from "../fields.ts";

const cacheSchema = z
  .object({
    enabled: flag(true, "Keep what is asked for often in memory."),
    maxSizeBytes: bytes(1_048_576_000, "How much memory it may take."),
    maxFileSizeBytes: bytes(104_857_600, "The largest file it takes."),
    trackedMinutes: count(30, "Over how long downloads are counted.", { type: "minutes" }),
    minDownloads: count(5, "From how many downloads on a file is kept."),
    minCacheTimeSeconds: count(300, "How long a file is kept at least.", { type: "seconds" }),
    minEvictedTimeSeconds: count(60, "How long a file that was dropped stays out.", { type: "seconds" }),
  })
  .prefault({})
  .meta({ description: "The memory cache of matrix-media-repo 1.2.", status: "later" });

/** `downloads`: media of others, and ranges. */
export const downloadsSchema = z
  .object({
    maxBytes: bytes(104_857_600, "The largest media fetched from another server; 0: no limit."),
    numWorkers: count(10, "How many media are fetched from other servers at once, half of them for one user; 0: 500.", {
      domain: false,
      live: false,
    }),
    failureCacheMinutes: count(15, "For how long a failed fetch is not tried again.", {
      domain: false,
      live: false,
      type: "minutes",
    }),
    expireAfterDays: count(0, "After how many days media of other servers is removed; 0: never.", {
      domain: false,
      type: "days",
      status: "later",
    }),
    defaultRangeChunkSizeBytes: bytes(
      10_485_760,
      "How much of it `bytes=0-` is answered with; `bytes=n-`, with all of the rest.",
      {
        least: 1,
      },
    ),
    cache: cacheSchema,
  })
  .prefault({})
  .meta({ description: "Downloads.", domain: true, live: true });
