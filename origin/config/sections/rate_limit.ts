import * as z from "zod";
import { bytes, count, decimal, flag } from "../fields.ts";

const MIB = 1_048_576;

const rate = (fallback: number, description: string) =>
  decimal(fallback, `${description}; 0: no limit.`, { min: 0, max: 1_000_000 });

/** `rateLimit`: how much one user, one server of the federation, or one address without a name may ask for. */
export const rateLimitSchema = z
  .object({
    enabled: flag(true, "Limit requests and downloads."),
    requestsPerSecond: rate(
      5,
      "How many requests a second one of them may make for the same path (32 ranges of a file are one)",
    ),
    burst: count(10, "How many of those it may make at once."),
    overall: z
      .object({
        requestsPerSecond: rate(200, "How many requests a second one of them may make in all"),
        burst: count(1000, "How many of those it may make at once."),
      })
      .prefault({})
      .meta({ description: "Requests for whatever path." }),
    buckets: z
      .object({
        downloads: z
          .object({
            capacityBytes: bytes(500 * MIB, "How much one of them may download before it has to wait; 0: no limit."),
            drainBytesPerMinute: bytes(5 * MIB, "How much of it is forgiven each minute; 0: no limit."),
            overflowLimitBytes: bytes(
              100 * MIB,
              "By how much one download may go beyond. Best as large as `downloads.maxBytes`.",
            ),
          })
          .prefault({})
          .meta({ description: "Downloads and thumbnails. What the edge serves by itself is not counted." }),
        remoteFetches: z
          .object({
            capacityBytes: bytes(51_200 * MIB, "How much may be fetched before it has to wait; 0: no limit."),
            drainBytesPerMinute: bytes(512 * MIB, "How much of it is forgiven each minute; 0: no limit."),
            overflowLimitBytes: bytes(1024 * MIB, "By how much one fetch may go beyond."),
          })
          .prefault({})
          .meta({ description: "Media fetched from other servers for all users of one homeserver together." }),
      })
      .prefault({})
      .meta({ description: "Limits by size." }),
  })
  .prefault({})
  .meta({
    description:
      "How much one user, one server of the federation, or one address without a name may ask for. All of an IPv6 /64 is one address; requests that bring no good token where one is needed count against theirs. Counted by all processes together where there is Redis. Repository administrators are not limited.",
    live: true,
  });
