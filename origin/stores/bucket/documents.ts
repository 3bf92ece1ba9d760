import { GetObjectCommand, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { backOff, isAbsent, isConditionFailed, isTransient, statusOf } from "../objects/s3/s3_errors.ts";

/** What every document of the edge bucket has, whatever else it says. */
export interface EdgeDocument {
  /** Of two documents under one key the one with the larger generation is true. */
  readonly gen: number;
  /** A tombstone. */
  readonly gone?: true | undefined;
  /** Key of a body. Of two documents of one generation the one that knows it says more. */
  readonly body?: string | undefined;
}

/** "superseded": what is there is as new or newer, and was left. */
export type Written = "written" | "superseded";

/** One object of a bucket. */
export interface Place {
  readonly bucket: string;
  readonly key: string;
}

interface Present {
  readonly text: string;
  readonly etag: string | undefined;
  /** undefined: unreadable. */
  readonly document: EdgeDocument | undefined;
}

/** The store can't do what the order of generations stands on. */
export class NoConditionalWrites extends Error {}

const NOT_IMPLEMENTED = 501;
/** After so many tries in a row that found the document changed, the next one waits. */
const TRIES_AT_ONCE = 3;

/**
 * Writes a document so that of any number of writers, however late, the one with the largest generation wins (docs/architecture.md,
 * rule 1): create; where one is there, give way if it is as new, else replace exactly that one; when it changed meanwhile,
 * again. Retried until the store confirms or `signal` aborts, because a store may allow one write per second and key.
 *
 * Errors: on abort one with the store's last error as its cause; {@link NoConditionalWrites}; the store's error where a retry
 * can't help.
 */
export async function writeDocument(
  client: S3Client,
  place: Place,
  document: EdgeDocument,
  signal: AbortSignal,
): Promise<Written> {
  const next = { document, text: JSON.stringify(document) };
  let cause: unknown;
  for (let attempt = 1; ; attempt += 1) {
    try {
      signal.throwIfAborted();
      const outcome = await tryOnce(client, place, next, signal);
      if (outcome !== "contended") return outcome;
      if (attempt >= TRIES_AT_ONCE) await backOff(attempt - TRIES_AT_ONCE + 1, signal);
    } catch (error) {
      if (signal.aborted) throw new Error(`Cannot write ${place.key} in time`, { cause: cause ?? error });
      if (error instanceof NoConditionalWrites || !isTransient(error)) throw error;
      cause = error;
      await backOff(attempt, signal).catch(() => undefined);
    }
  }
}

async function tryOnce(
  client: S3Client,
  place: Place,
  next: { document: EdgeDocument; text: string },
  signal: AbortSignal,
): Promise<Written | "contended"> {
  if (await putIf(client, place, next.text, { IfNoneMatch: "*" }, signal)) return "written";
  const present = await readDocument(client, place, signal);
  if (!present) return "contended";
  // What we wrote ourselves: an earlier try got through though its answer was lost.
  if (present.text === next.text) return "written";
  if (present.document && !supersedes(next.document, present.document)) return "superseded";
  if (present.etag === undefined) throw new NoConditionalWrites("Cannot replace a document: the store gives no ETag");
  return (await putIf(client, place, next.text, { IfMatch: present.etag }, signal)) ? "written" : "contended";
}

/** What is under a key; undefined when there is nothing. */
export async function readDocument(client: S3Client, place: Place, signal: AbortSignal): Promise<Present | undefined> {
  try {
    const command = new GetObjectCommand({ Bucket: place.bucket, Key: place.key });
    const { Body, ETag } = await client.send(command, { abortSignal: signal });
    const text = (await Body?.transformToString()) ?? "";
    return { text, etag: ETag, document: parse(text) };
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** Puts a text if the condition holds; false if it does not. */
export async function putIf(
  client: S3Client,
  place: Place,
  text: string,
  condition: { IfNoneMatch: "*" } | { IfMatch: string },
  signal: AbortSignal,
): Promise<boolean> {
  const input = { Bucket: place.bucket, Key: place.key, Body: text, ContentType: "application/json", ...condition };
  try {
    await client.send(new PutObjectCommand(input), { abortSignal: signal });
    return true;
  } catch (error) {
    // A store may answer 404 to the replacement of what has just been removed.
    if (isConditionFailed(error) || ("IfMatch" in condition && isAbsent(error))) return false;
    if (statusOf(error) !== NOT_IMPLEMENTED) throw error;
    throw new NoConditionalWrites("Cannot write a document: the store has no conditional writes", { cause: error });
  }
}

/** A larger generation, or the same one with a body where there was none (a fill of the same truth). */
function supersedes(next: EdgeDocument, present: EdgeDocument): boolean {
  if (next.gen !== present.gen) return next.gen > present.gen;
  return !next.gone && !present.gone && next.body !== undefined && present.body === undefined;
}

function parse(text: string): EdgeDocument | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isDocument = typeof value === "object" && value !== null && "gen" in value && Number.isSafeInteger(value.gen);
    return isDocument ? (value as EdgeDocument) : undefined;
  } catch {
    return undefined;
  }
}
