import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";

/** The size in bytes and the SHA-256 (hex) of a file. */
export async function hashFile(path: string, signal: AbortSignal): Promise<{ size: number; sha256: string }> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const bytes of createReadStream(path, { signal })) {
    size += (bytes as Buffer).length;
    hash.update(bytes as Buffer);
  }
  return { size, sha256: hash.digest("hex") };
}
