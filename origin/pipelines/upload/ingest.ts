import { createHash } from "node:crypto";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { MatrixError } from "../../../shared/matrix_error.ts";
import type { MakeId } from "../../platform/ids.ts";
import type { StagedFile } from "../../stores/datastores/datastore.ts";

/** A body that was received whole: its bytes lie in a temporary file that `dispose` removes (if it is still there). */
export interface Ingested extends StagedFile {
  dispose(): Promise<void>;
}

/** Where to put the bytes and how many there may be. `maxBytes` 0 means no limit; `declaredBytes` is what the sender announced. */
export interface IngestOptions {
  folder: string;
  makeId: MakeId;
  maxBytes: number;
  declaredBytes?: number | undefined;
  signal: AbortSignal;
}

/**
 * Writes `body` to a temporary file and learns its size and SHA-256 in the same pass. The limit holds for the bytes that
 * arrive, whatever was announced.
 *
 * Errors: 413 `M_TOO_LARGE` past the limit; 400 when the body ends before or after the announced length; whatever the
 * body throws when its sender goes away. In each case nothing is left behind.
 */
export async function ingest(body: AsyncIterable<Uint8Array>, options: IngestOptions): Promise<Ingested> {
  await mkdir(options.folder, { recursive: true });
  const path = join(options.folder, `${options.makeId()}.part`);
  const dispose = () => rm(path, { force: true });
  const hash = createHash("sha256");
  let size = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      size += chunk.byteLength;
      if (options.maxBytes > 0 && size > options.maxBytes) throw tooLarge(options.maxBytes);
      hash.update(chunk);
      yield chunk;
    }
  }
  // The file is there before anything can fail: one that is made while its upload is being given up would stay.
  const file = await open(path, "wx", 0o600);
  try {
    await pipeline(counted, file.createWriteStream(), { signal: options.signal });
    if (options.declaredBytes !== undefined && options.declaredBytes !== size) throw lengthLied();
    return { path, size, sha256: hash.digest("hex"), dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** The answer to a body of more than `maxBytes` bytes. */
export function tooLarge(maxBytes: number): MatrixError {
  return new MatrixError("M_TOO_LARGE", `Cannot accept more than ${maxBytes} bytes`, {
    mrErrcode: "M_MEDIA_TOO_LARGE",
  });
}

function lengthLied(): MatrixError {
  return new MatrixError("M_UNKNOWN", "Cannot accept a body whose length is not the one announced", { status: 400 });
}
