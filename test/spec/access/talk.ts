import { connect } from "node:net";

/** Sends bytes as they are, piece by piece, and hears whatever comes until the connection ends. */
export function talk(base: string, pieces: readonly (string | Buffer)[], betweenMs = 0): Promise<string> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    const heard: Buffer[] = [];
    socket.setTimeout(60_000, () => socket.destroy(new Error("no end within 60 s")));
    socket.on("data", (chunk) => {
      heard.push(chunk);
      if (isWhole(Buffer.concat(heard).toString())) socket.destroy();
    });
    socket.on("error", (error) => (heard.length > 0 ? resolve(Buffer.concat(heard).toString()) : reject(error)));
    socket.on("close", () => resolve(Buffer.concat(heard).toString()));
    socket.on("connect", async () => {
      for (const piece of pieces) {
        if (socket.destroyed) return;
        socket.write(piece);
        if (betweenMs > 0) await new Promise((next) => setTimeout(next, betweenMs));
      }
    });
  });
}

/** Whether an answer with a length has arrived to its end. */
function isWhole(heard: string): boolean {
  const [head = "", body] = heard.split("\r\n\r\n", 2);
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? Number.NaN);
  return body !== undefined && body.length >= length;
}
