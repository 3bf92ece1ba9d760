/** Counting bytes as they pass, so that no header is believed. */

/** The chunks of `source` as they come, until they sum up to more than `max` bytes: then throws `onExceeded()` and lets the source go. */
export async function* limitBytes<T extends Uint8Array>(
  source: AsyncIterable<T>,
  max: number,
  onExceeded: () => Error,
): AsyncGenerator<T, void, undefined> {
  let seen = 0;
  for await (const chunk of source) {
    seen += chunk.byteLength;
    if (seen > max) throw onExceeded();
    yield chunk;
  }
}

/** All bytes of `source` in memory. Throws `onExceeded()` and lets the source go when there are more than `max`. */
export async function readBytes(
  source: AsyncIterable<Uint8Array>,
  max: number,
  onExceeded: () => Error,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of limitBytes(source, max, onExceeded)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
