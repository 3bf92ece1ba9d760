import type { Socket } from "node:net";
import { errorAnswer } from "../../../shared/http/respond.ts";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import type { Underway } from "../underway.ts";

const UNREADABLE: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** The client has ended its side in the midst of a request: it has most likely left, and may still listen. */
const ENDED = "HPE_INVALID_EOF_STATE";

/**
 * Answers in Matrix form what cannot be read at all (too large a header, broken HTTP), and ends the connection. Where an answer is
 * under way there, the connection breaks off without another word.
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
