import { connect, type Socket } from "node:net";

/** One request on a connection of its own, by a client that may hang up at any moment. */

/** When a client hangs up; a client without this stays until it has heard all. */
export interface Leave {
  /** After so many bytes of the request were sent, or of the answer heard. */
  readonly after: "sent" | "heard";
  readonly bytes: number;
  /** And then so many milliseconds more. */
  readonly ms: number;
  /** By a reset, or in good order. */
  readonly by: "rst" | "fin";
}

/** What goes on the wire. */
export interface Wire {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | undefined;
  /** Sent in chunks of this many bytes, without a length. */
  readonly chunked?: number;
}

/** How it ended: answered whole, left by the client as it wanted to, or broken by the server. */
export type Ending =
  | { readonly kind: "answered"; readonly status: number; readonly headers: string; readonly body: Buffer }
  | { readonly kind: "left" }
  | { readonly kind: "broken"; readonly why: string };

const PIECE = 16 * 1024;
const SILENCE_MS = 60_000;

/** Sends a request and hears its answer, unless the client leaves before or `crowd` tells all to leave at once. */
export function exchange(base: string, wire: Wire, leave?: Leave, crowd?: AbortSignal): Promise<Ending> {
  const { hostname, port, host } = new URL(base);
  const request = requestBytes(host, wire);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    const heard: Buffer[] = [];
    let heardBytes = 0;
    let sent = 0;
    let left = false;
    const hangUp = (by: Leave["by"]) => {
      left = true;
      if (by === "rst") socket.resetAndDestroy();
      else socket.destroy();
    };
    const leaveNow = () => (leave?.ms ? setTimeout(hangUp, leave.ms, leave.by) : hangUp(leave?.by ?? "fin"));
    const onCrowd = () => hangUp(heardBytes % 2 === 0 ? "rst" : "fin");
    crowd?.addEventListener("abort", onCrowd);
    if (crowd?.aborted) onCrowd();
    const send = () => {
      if (socket.destroyed) return;
      const end = leave?.after === "sent" ? Math.min(request.byteLength, leave.bytes) : request.byteLength;
      if (sent >= end) return void (end < request.byteLength || leave?.after === "sent" ? leaveNow() : undefined);
      const piece = request.subarray(sent, Math.min(end, sent + PIECE));
      sent += piece.byteLength;
      socket.write(piece, send);
    };
    let why = "the connection was closed without an answer";
    socket.setTimeout(SILENCE_MS, () => {
      why = `nothing was heard for ${SILENCE_MS} ms`;
      socket.destroy();
    });
    socket.on("error", (error) => {
      why = error.message;
    });
    socket.on("data", (chunk) => {
      heard.push(chunk);
      heardBytes += chunk.byteLength;
      if (leave?.after === "heard" && heardBytes >= leave.bytes) leaveNow();
      else if (isWhole(heard, heardBytes, wire.method)) socket.destroy();
    });
    socket.on("close", () => {
      crowd?.removeEventListener("abort", onCrowd);
      const answer = parseAnswer(Buffer.concat(heard), wire.method);
      if (left) resolve({ kind: "left" });
      else resolve(answer ?? { kind: "broken", why: heardBytes > 0 ? `cut after ${heardBytes} bytes` : why });
    });
    socket.on("end", () => endSoon(socket));
    send();
  });
}

function endSoon(socket: Socket): void {
  if (socket.writable) socket.end();
}

function requestBytes(host: string, { method, path, headers, body, chunked }: Wire): Buffer {
  const framing = chunked ? { "transfer-encoding": "chunked" } : body ? { "content-length": String(body.length) } : {};
  const all = Object.entries({ host, ...headers, ...framing, connection: "close" });
  const head = `${method} ${path} HTTP/1.1\r\n${all.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
  if (!body) return Buffer.from(head);
  if (!chunked) return Buffer.concat([Buffer.from(head), body]);
  const pieces: Buffer[] = [Buffer.from(head)];
  for (let at = 0; at < body.byteLength; at += chunked) {
    const piece = body.subarray(at, at + chunked);
    pieces.push(Buffer.from(`${piece.byteLength.toString(16)}\r\n`), piece, Buffer.from("\r\n"));
  }
  return Buffer.concat([...pieces, Buffer.from("0\r\n\r\n")]);
}

/** Whoever has all need not wait for the server to close. */
function isWhole(heard: Buffer[], bytes: number, method: string): boolean {
  const first = heard[0] ?? Buffer.alloc(0);
  const end = first.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(first.subarray(0, end + 2).toString("latin1"))?.[1];
  if (length !== undefined && method !== "HEAD") return bytes >= end + 4 + Number(length);
  return parseAnswer(Buffer.concat(heard), method, false) !== undefined;
}

/** A whole answer; `undefined` for anything less. */
function parseAnswer(bytes: Buffer, method: string, isOver = true): Ending | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const headers = bytes.subarray(0, end + 2).toString("latin1");
  const status = Number(headers.slice(9, 12));
  const rest = bytes.subarray(end + 4);
  const body = method === "HEAD" || status === 204 || status === 304 ? Buffer.alloc(0) : bodyOf(headers, rest, isOver);
  return body && { kind: "answered", status, headers, body };
}

function bodyOf(headers: string, rest: Buffer, isOver: boolean): Buffer | undefined {
  const length = /\r\ncontent-length: (\d+)/i.exec(headers)?.[1];
  if (length !== undefined) return rest.byteLength >= Number(length) ? rest.subarray(0, Number(length)) : undefined;
  if (!/\r\ntransfer-encoding: chunked/i.test(headers)) return isOver ? rest : undefined;
  const pieces: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = rest.indexOf("\r\n", at);
    if (line < 0) return undefined;
    const size = Number.parseInt(rest.subarray(at, line).toString("latin1"), 16);
    if (size === 0) return Buffer.concat(pieces);
    if (rest.byteLength < line + 2 + size + 2) return undefined;
    pieces.push(rest.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
}
