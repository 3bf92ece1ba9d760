/**
 * A stream that lets at most `max` bytes through and errors with `onExceeded()` at the first byte too many, of which
 * nothing passes. Counts what really flows; no header is believed.
 */
export function byteLimit(max: number, onExceeded: () => Error): TransformStream<Uint8Array, Uint8Array> {
  let seen = 0;
  return new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      seen += chunk.byteLength;
      if (seen > max) throw onExceeded();
      controller.enqueue(chunk);
    },
  });
}

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
