import * as z from "zod/mini";
import { isMediaId } from "../matrix/mxc.ts";
import { isServerName } from "../matrix/server_name.ts";
import { parseDocument } from "./parse_document.ts";

/** What the edge must know to serve one media, or one thumbnail (which has a descriptor of its own). Written by the origin only. */
export interface LiveDescriptor {
  v: 1;
  /** Of two descriptors the one with the larger generation is true. */
  gen: number;
  gone?: undefined;
  server_name: string;
  media_id: string;
  /** Of the body, in lower-case hex. */
  sha256: string;
  /** Of the body, in bytes. */
  size: number;
  /** Content type, ready to be sent. */
  type: string;
  /** The uploader's file name. */
  name?: string | undefined;
  /** Milliseconds since the epoch. */
  created: number;
  /** Key of the body in the edge bucket. Absent: ask the origin. */
  body?: string | undefined;
  /** Not to be served to anybody. */
  quarantined?: boolean | undefined;
  /** To be served to authenticated requests only. */
  frozen?: boolean | undefined;
}

/** What is left of an erased media for about an hour, longer than any writer can be late. */
export interface Tombstone {
  v: 1;
  gen: number;
  gone: true;
  /** Milliseconds since the epoch. */
  at: number;
  /** It may come again, because it is another server's and was only forgotten here: ask the origin. Ids of our own never do. */
  again?: true | undefined;
}

/** What lies under a `d/` key. */
export type Descriptor = LiveDescriptor | Tombstone;

const count = z.int().check(z.nonnegative());

const liveSchema = z.object({
  v: z.literal(1),
  gen: count,
  gone: z.optional(z.undefined()),
  server_name: z.string().check(z.refine(isServerName)),
  media_id: z.string().check(z.refine(isMediaId)),
  sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  size: count,
  type: z.string(),
  name: z.optional(z.string()),
  created: count,
  body: z.optional(z.string()),
  quarantined: z.optional(z.boolean()),
  frozen: z.optional(z.boolean()),
});

const tombstoneSchema = z.object({
  v: z.literal(1),
  gen: count,
  gone: z.literal(true),
  at: count,
  again: z.optional(z.literal(true)),
});

const descriptorSchema = z.union([tombstoneSchema, liveSchema]);

/** Reads a descriptor; undefined for broken JSON, an unknown version or anything else: then the origin must be asked. */
export function parseDescriptor(text: string): Descriptor | undefined {
  return parseDocument(descriptorSchema, text);
}
