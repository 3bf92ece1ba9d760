import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/**
 * Closes connections whose request was answered before its body had been read. Closing a socket with unread bytes resets it, and
 * the reset overtakes the answer: nginx shows a 502 page of its own, and simple clients a network error. So the server sends
 * the answer, then a FIN, and reads and discards what still comes for a while (RFC 9112 §9.6). This happens beneath the
 * framework, by the connection, so it holds for every answer.
 */

/** Bounds for one lingering connection, and for all of them together. */
export interface LingeringLimits {
  /** The most that is discarded of one body, in bytes. */
  readonly maxBytes: number;
  /** The most that is discarded of all bodies in one second, in bytes. Faster senders wait. */
  readonly bytesPerSecond: number;
  /** No connection lingers longer than this; while the server is being closed, not longer than a second. */
  readonly maxSeconds: number;
  /** A connection that is silent for this long is closed: its client has read the answer. */
  readonly silentSeconds: number;
  /** Above this, the one that has lingered longest is closed. */
  readonly maxConnections: number;
}

const LIMITS: LingeringLimits = {
  // More than the largest upload by default (100 MiB).
  maxBytes: 128 * 1024 * 1024,
  // As much as a gigabit carries.
  bytesPerSecond: 128 * 1024 * 1024,
  maxSeconds: 30,
  silentSeconds: 5,
  maxConnections: 256,
};
/** Bodies up to this many bytes are read to their end, and the connection is kept for the next request. */
const WORTH_READING = 64 * 1024;
const TICK_MS = 1_000;

/** A body that is being discarded. */
interface Rest {
  readonly request: IncomingMessage;
  bytes: number;
  seconds: number;
  silentSeconds: number;
}

/** The lingering connections of one server. */
export class LingeringClose {
  /** In the order in which they began. */
  readonly #rests = new Map<Socket, Rest>();
  readonly #limits: LingeringLimits;
  #bytesLeft: number;
  #timer: NodeJS.Timeout | undefined;
  #isClosing = false;

  constructor(limits: LingeringLimits = LIMITS) {
    this.#limits = limits;
    this.#bytesLeft = limits.bytesPerSecond;
  }

  /** Takes care of the connections of `server` from now on. */
  watch(server: Server): void {
    const latest = new WeakMap<Socket, IncomingMessage>();
    server.prependListener("connection", (socket: Socket) => {
      const destroySoon = socket.destroySoon.bind(socket);
      // Node calls this, and nothing else, to close a connection after an answer that was its last.
      socket.destroySoon = () => {
        const request = latest.get(socket);
        if (!request || request.complete || socket.destroyed) return destroySoon();
        socket.end();
        this.#discard(socket, request);
      };
    });
    server.prependListener("request", (request: IncomingMessage, response: ServerResponse) => {
      const { socket } = request;
      latest.set(socket, request);
      // Before Node's own listener, which would let the body pass uncounted and unbounded.
      response.prependOnceListener("finish", () => {
        if (!request.complete) this.#discard(socket, request);
      });
    });
  }

  /** From now on no connection lingers for longer than a second. */
  close(): void {
    this.#isClosing = true;
  }

  #discard(socket: Socket, request: IncomingMessage): void {
    if (this.#rests.has(socket) || socket.destroyed) return;
    const rest: Rest = { request, bytes: 0, seconds: 0, silentSeconds: 0 };
    this.#rests.set(socket, rest);
    request.on("error", () => undefined);
    // A listener left behind by an abandoned read would stop the flow of the body.
    request.removeAllListeners("readable");
    request.on("data", (chunk: Buffer) => this.#count(rest, chunk.byteLength));
    request.once("end", () => this.#complete(socket));
    socket.once("close", () => this.#forget(socket));
    if (this.#bytesLeft > 0) request.resume();
    else request.pause();
    for (const [oldest] of this.#rests) {
      if (this.#rests.size <= this.#limits.maxConnections) break;
      oldest.destroy();
      this.#forget(oldest);
    }
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** Pauses a client that sends too fast until the next second; it already has the answer. */
  #count(rest: Rest, bytes: number): void {
    rest.bytes += bytes;
    rest.silentSeconds = 0;
    this.#bytesLeft -= bytes;
    if (rest.bytes > this.#limits.maxBytes || this.#bytesLeft <= 0) rest.request.pause();
  }

  /** The body has ended: the connection is closed if we announced its end, and kept otherwise. */
  #complete(socket: Socket): void {
    this.#forget(socket);
    if (socket.writableEnded) socket.destroySoon();
  }

  #forget(socket: Socket): void {
    this.#rests.delete(socket);
    if (this.#rests.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#bytesLeft = this.#limits.bytesPerSecond;
  }

  #tick(): void {
    const { maxBytes, bytesPerSecond, maxSeconds, silentSeconds } = this.#limits;
    this.#bytesLeft = bytesPerSecond;
    for (const [socket, rest] of [...this.#rests]) {
      rest.seconds += 1;
      rest.silentSeconds += 1;
      const isOver = rest.seconds >= maxSeconds || rest.silentSeconds > silentSeconds;
      if (isOver || this.#isClosing) socket.destroy();
      else if (rest.bytes <= maxBytes) rest.request.resume();
    }
  }
}

/**
 * Whether the connection must end with the answer to this request (`Connection: close`), because more of its body is still to
 * come than is worth reading only to keep the connection. Ask when the answer begins.
 */
export function mustClose(request: IncomingMessage): boolean {
  if (request.complete) return false;
  const { "content-length": length, "transfer-encoding": encoding } = request.headers;
  return encoding !== undefined || Number(length ?? 0) > WORTH_READING;
}
