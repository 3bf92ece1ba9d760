import * as z from "zod/mini";
import { isServerName } from "../matrix/server_name.ts";
import { type ServingPolicy, servingPolicySchema } from "./serving_policy.ts";

/**
 * What lies under a `k/` key: a key by which another server signs its requests, as the origin fetched and checked it. Where that
 * server has withdrawn it since, a tombstone lies there, which is none.
 */
export interface ServerKeyDocument {
  v: 1;
  /** Drawn before the server was asked; that of a tombstone, after it had answered. */
  gen: number;
  server_name: string;
  key_id: string;
  /** The public key in base64. */
  key: string;
  /** Milliseconds since the epoch after which it proves nothing any more: it may have been withdrawn, and the origin asks again. */
  exp: number;
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

const keySchema = z.object({
  v: z.literal(1),
  gen: count,
  server_name: serverName,
  key_id: z.string(),
  key: z.string(),
  exp: count,
});

const domainSchema = z.object({
  v: z.literal(1),
  gen: count,
  server_name: serverName,
  policy: servingPolicySchema,
  exp: count,
});

/** Reads a key; undefined for anything that is none: then the origin is asked. Expiry is the reader's to check. */
export function parseServerKeyDocument(text: string): ServerKeyDocument | undefined {
  return parse(keySchema, text);
}

/** Reads a domain; undefined for anything that is none: then the origin is asked. Expiry is the reader's to check. */
export function parseDomainDocument(text: string): DomainDocument | undefined {
  return parse(domainSchema, text);
}

function parse<T extends z.ZodMiniType>(schema: T, text: string): z.infer<T> | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
