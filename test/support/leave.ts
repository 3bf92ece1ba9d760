import { connect, type Socket } from "node:net";

/** How a client ends its connection: it says that it will send no more, it closes, or it breaks off. */
export type Leaving = "fin" | "close" | "rst";

/** What a client sends before it leaves, and when it leaves: `afterMs` milliseconds after the last of it, or after the first byte of the answer. */
export interface RudeRequest {
  /** Request line, headers and as much of the body as is sent. */
  readonly text: string | Buffer;
  readonly afterMs: number;
  readonly afterFirstByte?: boolean;
  readonly how: Leaving;
}

/** A server that does not close in answer to a FIN is not waited for. */
const FAREWELL_MS = 1_000;
/** Who waits for the first byte of an answer does not wait for ever. */
const FIRST_BYTE_MS = 5_000;

/** Sends a request and leaves. Resolves when the connection is closed, whatever was answered. */
export function leave(base: string, { text, afterMs, afterFirstByte = false, how }: RudeRequest): Promise<void> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    socket.on("error", () => undefined);
    socket.on("close", () => resolve());
    const goLater = (ms: number) => setTimeout(() => go(socket, how), ms);
    socket.write(text, () => {
      if (!afterFirstByte) return void goLater(afterMs);
      const impatient = goLater(FIRST_BYTE_MS);
      socket.once("data", () => {
        clearTimeout(impatient);
        socket.pause();
        goLater(afterMs);
      });
    });
    if (!afterFirstByte) socket.resume();
  });
}

function go(socket: Socket, how: Leaving): void {
  if (how === "rst") return void socket.resetAndDestroy();
  if (how === "close") return void socket.destroy();
  socket.end();
  socket.resume();
  const farewell = setTimeout(() => socket.destroy(), FAREWELL_MS);
  socket.once("close", () => clearTimeout(farewell));
}

/** The text of a request. `body`: as much of it as is sent; `length`: what is announced. */
export function requestText(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body?: { readonly sent: Buffer; readonly length: number },
): Buffer {
  const lines = Object.entries({
    host: "example.org",
    ...headers,
    ...(body ? { "content-length": String(body.length) } : {}),
  });
  const head = `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
  return Buffer.concat([Buffer.from(head), body?.sent ?? Buffer.alloc(0)]);
}
