import * as z from "zod/mini";
import type { ThumbnailPolicy } from "../matrix/thumbnail_size.ts";

/** What a domain's configuration says that both tiers need, to answer alike. */
export interface ServingPolicy {
  thumbnails: ThumbnailPolicy;
  /** Longest answer, in bytes, to a range for everything (`bytes=0-`); 0 for no limit. */
  openRangeMaxBytes: number;
}

const side = z.int().check(z.positive());

/** Reads a serving policy out of a verdict. */
export const servingPolicySchema = z.object({
  thumbnails: z.object({
    sizes: z.array(z.object({ width: side, height: side })),
    dynamicSizing: z.boolean(),
    defaultAnimated: z.boolean(),
    allowAnimated: z.boolean(),
    preferWebp: z.optional(z.boolean()),
  }),
  openRangeMaxBytes: z.int().check(z.nonnegative()),
}) satisfies z.ZodMiniType<ServingPolicy>;
