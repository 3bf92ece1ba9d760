import { DeleteObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { NoConditionalWrites, type Place, putIf, readDocument } from "./documents.ts";

/** Tries on one object whether a store refuses what it must: to create what is there, and to replace what has changed. */
export async function probeConditions(client: S3Client, place: Place, signal: AbortSignal): Promise<boolean> {
  try {
    await remove(client, place, signal);
    if (!(await putIf(client, place, "1", { IfNoneMatch: "*" }, signal))) return false;
    if (await putIf(client, place, "2", { IfNoneMatch: "*" }, signal)) return false;
    const first = await readDocument(client, place, signal);
    if (first?.text !== "1" || !first.etag) return false;
    if (!(await putIf(client, place, "3", { IfMatch: first.etag }, signal))) return false;
    if (await putIf(client, place, "4", { IfMatch: first.etag }, signal)) return false;
    return (await readDocument(client, place, signal))?.text === "3";
  } catch (error) {
    if (error instanceof NoConditionalWrites) return false;
    throw error;
  } finally {
    await remove(client, place, signal).catch(() => undefined);
  }
}

async function remove(client: S3Client, place: Place, signal: AbortSignal): Promise<void> {
  await client.send(new DeleteObjectCommand({ Bucket: place.bucket, Key: place.key }), { abortSignal: signal });
}
