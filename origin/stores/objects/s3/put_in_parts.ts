import type { Readable } from "node:stream";
import { AbortMultipartUploadCommand, type S3Client } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { WorkQueue } from "../../../platform/work_queue.ts";
import { type NewObject, objectInput } from "./new_object.ts";

const PART_BYTES = 8 * 1024 * 1024;
const PARTS_AT_ONCE = 2;
/** S3 takes 10,000. */
const MAX_PARTS = 9_000;
/** Those under way, the next one, and its pieces before they are put together. */
const PARTS_HELD = PARTS_AT_ONCE + 2;
/** What all that goes in parts at the same time may hold in memory, in bytes. */
const HELD_BYTES = 256 * 1024 * 1024;
const ABORT_MS = 30_000;

/** How much memory putting an object of so many bytes in parts takes, in bytes. */
export function bytesHeld(size: number): number {
  return PARTS_HELD * partBytes(size);
}

/** A queue for what goes in parts: as much at once as memory is set aside for, `waiting` behind it, and the rest is refused. */
export function makePartsQueue(waiting: number): WorkQueue {
  const full = () => new Error("Cannot store the object now: too many large ones are under way");
  return new WorkQueue({ atOnce: Number.POSITIVE_INFINITY, capacity: HELD_BYTES, waiting, full });
}

/** Puts a body in parts. When it fails the store is told to throw away those that it has. */
export async function putInParts(
  client: S3Client,
  object: NewObject,
  body: Readable,
  { signal, heard }: { readonly signal: AbortSignal; readonly heard: () => void },
): Promise<void> {
  const upload = new Upload({
    client: bounded(client, signal),
    params: { ...objectInput(object), Body: body },
    partSize: partBytes(object.size),
    queueSize: PARTS_AT_ONCE,
  });
  upload.on("httpUploadProgress", heard);
  const abort = () => void upload.abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    signal.throwIfAborted();
    await upload.done();
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** The client for one upload: the library gives its calls no signal, and a part that a silent store never takes would stay. */
function bounded(client: S3Client, signal: AbortSignal): S3Client {
  const send = (command: Parameters<S3Client["send"]>[0]) => {
    const isTidying = command instanceof AbortMultipartUploadCommand;
    return client.send(command, { abortSignal: isTidying ? AbortSignal.timeout(ABORT_MS) : signal });
  };
  return Object.create(client, { send: { value: send } });
}

function partBytes(size: number): number {
  return Math.max(PART_BYTES, Math.ceil(size / MAX_PARTS));
}
