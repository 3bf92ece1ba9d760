/**
 * How the origin knows that a body of unknown length is whole when it comes from the edge. The Worker's runtime ends a chunked
 * body that it sends in good order also where the client's broke (a chunk that cannot be read, a connection that was closed),
 * so the last chunk proves nothing. The edge adds a word to the body when it has read the client's to its end, and tells the
 * word in a header before; the client knows it not.
 */

/** The header that tells which bytes follow the body. */
export const BODY_END_HEADER = "mxcdn-body-end";

/** The bytes of that word. */
export function bodyEndBytes(word: string): Uint8Array {
  return new TextEncoder().encode(word);
}

/** The chunks of `source` without these last bytes. Throws `broken()` at the end of one that does not end with them. */
export async function* takeBodyEnd(
  source: AsyncIterable<Uint8Array>,
  end: Uint8Array,
  broken: () => Error,
): AsyncGenerator<Uint8Array, void, undefined> {
  let held = new Uint8Array(0);
  for await (const chunk of source) {
    const here = joined(held, chunk);
    const ready = Math.max(0, here.byteLength - end.byteLength);
    held = here.slice(ready);
    if (ready > 0) yield here.subarray(0, ready);
  }
  if (held.byteLength !== end.byteLength || held.some((byte, at) => byte !== end[at])) throw broken();
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  if (one.byteLength === 0) return other;
  const both = new Uint8Array(one.byteLength + other.byteLength);
  both.set(one);
  both.set(other, one.byteLength);
  return both;
}
