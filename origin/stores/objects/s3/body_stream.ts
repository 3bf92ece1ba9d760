import type { Readable } from "node:stream";
import { pullStream } from "../../../platform/bytes.ts";
import { cannotRead } from "../store_trouble.ts";
import { watchStore } from "./s3_errors.ts";
import type { Seat } from "./seats.ts";

/** How a body is read. */
export interface BodyStreamOptions {
  /** How many bytes it must have. */
  readonly length: number;
  readonly signal: AbortSignal;
  /** Its reader's, given back when the body has ended; it works while the reader asks for bytes, and rests meanwhile. */
  readonly seat: Seat;
  readonly silenceMs?: number | undefined;
}

/**
 * The body of an answer as a web stream, read only when asked for. Cancel and abort close the connection.
 *
 * Errors: when the body has fewer or more bytes than it must have, or a reader who asks for bytes gets none for `silenceMs`
 * milliseconds. One who does not ask may take all the time there is, as long as nobody else waits for the seat.
 */
export function bodyStream(body: Readable, options: BodyStreamOptions): ReadableStream<Uint8Array> {
  const { length, seat, silenceMs } = options;
  const signal = AbortSignal.any([options.signal, seat.signal]);
  const chunks = body.iterator({ destroyOnReturn: true }) as AsyncIterator<Uint8Array>;
  let missing = length;

  async function read(): Promise<Uint8Array | undefined> {
    const silence = watchStore(silenceMs);
    silence.signal.addEventListener("abort", () => body.destroy(silence.signal.reason));
    seat.works();
    try {
      const { done, value } = await chunks.next();
      return done ? undefined : value;
    } catch (error) {
      // Under its own name a connection that the store broke off would look like one that our client did.
      if (signal.aborted || silence.signal.aborted) throw error;
      throw cannotRead(new Error("Cannot read on: the store broke off", { cause: error }));
    } finally {
      silence.stop();
      seat.rests();
    }
  }

  body.once("close", () => seat.leave());
  body.on("error", () => undefined); // Also when nobody reads; a reader gets it from the iterator.
  seat.rests();
  return pullStream({
    signal,
    async next() {
      const chunk = await read();
      missing -= chunk?.byteLength ?? 0;
      if (missing >= 0 && (missing === 0 || chunk)) return chunk;
      const found = missing < 0 ? "more" : `${missing} fewer`;
      throw cannotRead(new Error(`Cannot read ${length} bytes: the object has ${found}`));
    },
    onEnd(reason) {
      body.destroy(reason instanceof Error ? reason : undefined);
      seat.leave();
    },
  });
}
