import { connect } from "node:net";

/** A large request that is expected to be refused before it has been sent. */
export interface RefusedUpload {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Of the body, in bytes. */
  readonly length: number;
  /** Waits so long after each 64 KiB, in milliseconds; 0: sends as fast as it is taken. */
  readonly paceMs: number;
  /** Reads nothing before the whole body is sent, as simple clients do. */
  readonly readsLast?: boolean;
}

/** What was heard. `undefined`: the connection broke before an answer. */
export type Refusal = { readonly status: number; readonly body: string } | undefined;

const PIECE = Buffer.alloc(64 * 1024);
const SILENCE_MS = 60_000;

/** Sends a request until its answer is there, which it reads whole. */
export function sendRefused(base: string, sending: RefusedUpload): Promise<Refusal> {
  const { hostname, port, host } = new URL(base);
  const headers = { host, ...sending.headers, "content-length": String(sending.length) };
  const head = `${sending.method} ${sending.path} HTTP/1.1\r\n${lines(headers)}\r\n`;
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    let heard = Buffer.alloc(0);
    let left = sending.length;
    const send = (): void => {
      if (socket.destroyed || !socket.writable) return;
      if (left <= 0) return void socket.resume();
      const piece = PIECE.subarray(0, Math.min(left, PIECE.byteLength));
      left -= piece.byteLength;
      socket.write(piece, () => (sending.paceMs > 0 ? setTimeout(send, sending.paceMs) : send()));
    };
    socket.setTimeout(SILENCE_MS, () => socket.destroy());
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      heard = Buffer.concat([heard, chunk]);
      if (answerIn(heard)) socket.destroy();
    });
    socket.on("close", () => resolve(answerIn(heard)));
    if (sending.readsLast) socket.pause();
    socket.write(head, send);
  });
}

function lines(headers: Readonly<Record<string, string>>): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("");
}

/** A whole answer with a length, if it is here. */
function answerIn(heard: Buffer): Refusal {
  const text = heard.toString("latin1");
  const end = text.indexOf("\r\n\r\n");
  const status = Number(text.slice(9, 12));
  const told = /\r\ncontent-length: (\d+)\r\n/i.exec(text.slice(0, end + 2))?.[1];
  const length = status === 204 ? 0 : Number(told ?? Number.NaN);
  if (end < 0 || !(text.length >= end + 4 + length)) return undefined;
  return { status, body: text.slice(end + 4, end + 4 + length) };
}
