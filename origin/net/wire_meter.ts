import type { Socket } from "node:net";
import { FetchError } from "./fetch_error.ts";

/** What a peer may send before it is asked anything: the session tickets of TLS, above all. */
const UNASKED_BYTES = 65_536;
/** How often bytes are looked for that no reader gets to see, as records of TLS without content. Milliseconds. */
const LOOK_MS = 100;

/**
 * Counts every byte that arrives on a connection, whatever it is for, and destroys it with a `too_large` {@link FetchError} when
 * more came than was allowed: the parser of HTTP counts headers and bodies, but nobody counts reason phrases, extensions of
 * chunks, interim answers and the framing of TLS. Nothing of a body is touched for it.
 */
export class WireMeter {
  readonly #wire: Socket;
  readonly #socket: Socket;
  #limit: number;

  /** `socket` is what is read, and `wire` what carries it: the same, or TCP under TLS. */
  constructor(wire: Socket, socket: Socket) {
    this.#wire = wire;
    this.#socket = socket;
    this.#limit = wire.bytesRead + UNASKED_BYTES;
    socket.on("readable", () => this.#look());
    const timer = setInterval(() => (socket.destroyed ? clearInterval(timer) : this.#look()), LOOK_MS).unref();
  }

  /** From now on, and until this is called again, so many bytes may arrive. */
  allow(bytes: number): void {
    this.#limit = this.#wire.bytesRead + bytes;
  }

  #look(): void {
    if (this.#wire.bytesRead <= this.#limit) return;
    this.#socket.destroy(
      new FetchError("too_large", "More bytes arrived than any answer may have with all its framing"),
    );
  }
}
