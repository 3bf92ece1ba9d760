import * as z from "zod";
import { bytes, count, flag } from "../fields.ts";

const cacheSchema = z
  .object({
    enabled: flag(true, "Keep small media and thumbnails that are asked for often in the memory of each process."),
    maxSizeBytes: bytes(
      67_108_864,
      "How much memory it may take in each process, what is being sent not counted: that may be as much again.",
    ),
    maxFileSizeBytes: bytes(1_048_576, "The largest file it takes; more than 1 MiB counts as 1 MiB."),
    trackedMinutes: count(30, "Over how long downloads are counted.", { type: "minutes" }),
    minDownloads: count(2, "From how many downloads on a file is kept."),
    minCacheTimeSeconds: count(300, "what is longest out of use goes first.", {
      status: "retired",
      type: "seconds",
      harmless: [300],
    }),
    minEvictedTimeSeconds: count(60, "what is longest out of use goes first.", {
      status: "retired",
      type: "seconds",
      harmless: [60],
    }),
  })
  .prefault({})
  .meta({ description: "Media in memory.", domain: false, live: false });

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
