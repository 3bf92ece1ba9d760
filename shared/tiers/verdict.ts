import * as z from "zod/mini";
import { type ServingPolicy, servingPolicySchema } from "./domain_policy.ts";
import { parseDocument } from "./parse_document.ts";

/** A homeserver's "yes" to one access token, and what the domain's configuration makes of it. Refusals are never written down. */
export interface LiveVerdict {
  v: 1;
  /** Drawn before the homeserver was asked, so that a logout in the meantime wins. */
  gen: number;
  gone?: undefined;
  /** The domain that the request's host belongs to. */
  server_name: string;
  user_id: string;
  device_id?: string | undefined;
  is_guest: boolean;
  /** Milliseconds since the epoch after which it says nothing any more. */
  exp: number;
  policy: ServingPolicy;
}

/** What lies under an `a/` key: a verdict, or the tombstone that a logout left. */
export type Verdict = LiveVerdict | { v: 1; gen: number; gone: true; at: number };

/**
 * For how long the edge may use a verdict without asking again: `bucket`, until it expires, for it lies in the bucket, where a
 * logout is seen; `memory`, two seconds at most, in the isolate that asked; `once`, for the requests that waited for it.
 */
export type VerdictScope = "bucket" | "memory" | "once";

/** Where the origin says the scope of a verdict. */
export const VERDICT_SCOPE_HEADER = "mxcdn-verdict-scope";

/** How long a verdict of scope `memory` may be remembered, in milliseconds: as long as what was read from the bucket (docs/architecture.md, rule 4). */
export const VERDICT_MEMORY_MS = 2_000;

const count = z.int().check(z.nonnegative());

const liveSchema = z.object({
  v: z.literal(1),
  gen: count,
  gone: z.optional(z.undefined()),
  server_name: z.string(),
  user_id: z.string().check(z.minLength(1)),
  device_id: z.optional(z.string()),
  is_guest: z.boolean(),
  exp: count,
  policy: servingPolicySchema,
});

const verdictSchema = z.union([
  z.object({ v: z.literal(1), gen: count, gone: z.literal(true), at: count }),
  liveSchema,
]);

/** Reads a verdict; undefined for broken JSON, an unknown version or anything else: then the origin must be asked. Expiry is the reader's to check. */
export function parseVerdict(text: string): Verdict | undefined {
  return parseDocument(verdictSchema, text);
}

/** Reads the scope of a verdict; one that is unknown here is the shortest. */
export function parseVerdictScope(text: string | null): VerdictScope {
  return text === "bucket" || text === "memory" ? text : "once";
}
