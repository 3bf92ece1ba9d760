import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { errorAnswer } from "../../shared/http/respond.ts";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import type { Outcome } from "./reply/outcome.ts";

/**
 * Answers what cannot be parsed as HTTP (too large a header, broken syntax). The answer goes to the connection itself, where
 * other answers may be under way.
 */

const UNREADABLE: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** The client has ended its side in the middle of a request: most likely it has left. */
const ENDED = "HPE_INVALID_EOF_STATE";

/**
 * Answers in Matrix form what cannot be read, and ends the connection. Where an answer is under way there, the connection breaks
 * off without another word.
 */
export function answerUnreadable(error: Error & { code?: string }, socket: Socket, underway: Underway): void {
  const where = underway.at(socket);
  if (!socket.writable || where.may === "break") return void socket.destroy();
  if (where.may === "end") return void socket.end();
  const status = UNREADABLE[error.code ?? ""] ?? 400;
  if (error.code !== ENDED) where.instead?.outcome.refuse(status);
  const answer = errorAnswer(new MatrixError("M_UNKNOWN", "Cannot read the request", { status }));
  const body = answer.body ?? "";
  const head = Object.entries({
    ...answer.headers,
    "content-length": String(Buffer.byteLength(body)),
    connection: "close",
  });
  socket.end(`HTTP/1.1 ${status} \r\n${head.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`);
}

/** One request on a connection, with its answer. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly outcome: Outcome;
}

/** What may be done about a parse error on a connection: see {@link Underway.at}. */
export type Allowed =
  | { readonly may: "tell"; readonly instead?: Exchange }
  | { readonly may: "end" }
  | { readonly may: "break" };

/**
 * Tracks the exchanges of each connection. Requests may follow one another before the first is answered (pipelining), so an
 * error answer to the last one must not be spliced into the answer to an earlier one.
 */
export class Underway {
  readonly #exchanges = new WeakMap<Socket, Set<Exchange>>();

  /** An exchange has begun. It is over when its answer has ended and its body was read or discarded. */
  begin(exchange: Exchange): void {
    const { request, response } = exchange;
    const { socket } = request;
    const open = this.#exchanges.get(socket) ?? new Set();
    this.#exchanges.set(socket, open.add(exchange));
    const look = () => {
      if (response.closed && (request.complete || request.destroyed)) open.delete(exchange);
    };
    response.once("close", look);
    request.once("close", look);
  }

  /**
   * What may be done about a parse error on a connection. `tell`: write an answer, since none is under way, or only one that has not
   * begun and is replaced; `end`: close it, since every answer was sent; `break`: reset it, since an answer would be taken for part of
   * another one.
   */
  at(socket: Socket): Allowed {
    const open = [...(this.#exchanges.get(socket) ?? [])];
    const unsaid = open.filter(({ response }) => !response.writableFinished);
    const [first] = unsaid;
    if (!first) return { may: open.length === 0 ? "tell" : "end" };
    return unsaid.length > 1 || first.response.headersSent ? { may: "break" } : { may: "tell", instead: first };
  }
}
