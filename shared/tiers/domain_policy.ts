import * as z from "zod/mini";
import { isServerName } from "../matrix/server_name.ts";
import type { ThumbnailPolicy } from "../matrix/thumbnail_size.ts";
import { parseDocument } from "./parse_document.ts";

/** What the origin tells the edge about the homeservers that we serve. */

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

/** Which of our homeservers a host belongs to, and by which rules media is served there: the origin's word to the edge. */
export interface ServedDomain {
  v: 1;
  server_name: string;
  policy: ServingPolicy;
}

/** What lies under a `p/` key: one of our own servers that others may address, and by which rules its media is served. */
export interface DomainDocument {
  v: 1;
  gen: number;
  server_name: string;
  policy: ServingPolicy;
  /** Milliseconds since the epoch after which it says nothing any more: the configuration may have changed. */
  exp: number;
}

const count = z.int().check(z.nonnegative());
const serverName = z.string().check(z.refine(isServerName));

const servedSchema = z.object({ v: z.literal(1), server_name: serverName, policy: servingPolicySchema });

const domainSchema = z.object({
  v: z.literal(1),
  gen: count,
  server_name: serverName,
  policy: servingPolicySchema,
  exp: count,
});

/** Reads the origin's answer; undefined for anything that is not one. */
export function parseServedDomain(text: string): ServedDomain | undefined {
  return parseDocument(servedSchema, text);
}

/** Reads a domain; undefined for anything else: then the origin must be asked. Expiry is the reader's to check. */
export function parseDomainDocument(text: string): DomainDocument | undefined {
  return parseDocument(domainSchema, text);
}
