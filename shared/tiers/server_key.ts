import * as z from "zod/mini";
import { isServerName } from "../matrix/server_name.ts";
import { parseDocument } from "./parse_document.ts";

/**
 * What lies under a `k/` key: a key by which another server signs its requests, as the origin fetched and checked it. Where that
 * server has withdrawn it since, a tombstone lies there, which is not read as a key.
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

const count = z.int().check(z.nonnegative());

const keySchema = z.object({
  v: z.literal(1),
  gen: count,
  server_name: z.string().check(z.refine(isServerName)),
  key_id: z.string(),
  key: z.string(),
  exp: count,
});

/** Reads a key; undefined for anything else: then the origin must be asked. Expiry is the reader's to check. */
export function parseServerKeyDocument(text: string): ServerKeyDocument | undefined {
  return parseDocument(keySchema, text);
}
