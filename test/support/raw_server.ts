import { type AddressInfo, createServer, type Socket } from "node:net";
import { createServer as createSecureServer } from "node:tls";
import type { Certificate } from "./certificates.ts";

/** A server that speaks no HTTP but what the test writes, on a free port of loopback. */
export interface RawServer {
  readonly port: number;
  /** Connections that are open or were, in the order in which they came. */
  readonly sockets: Socket[];
  close(): Promise<void>;
}

/** Starts it, with TLS if there is a certificate. `onData` is called for whatever arrives; errors of connections are not told. */
export async function startRawServer(
  onData: (socket: Socket, data: Buffer) => void,
  tls?: Certificate,
): Promise<RawServer> {
  const sockets: Socket[] = [];
  const serve = (socket: Socket) => {
    sockets.push(socket);
    socket.setMaxListeners(0);
    socket.on("error", () => {}).on("data", (data: Buffer) => onData(socket, data));
  };
  const server = tls ? createSecureServer(tls, serve) : createServer(serve);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // A test that fails before it closes its server must end all the same.
  server.unref();
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Writes `chunk` again and again, as fast as it is read, until the connection is closed. Tells how many bytes went. */
export async function flood(socket: Socket, chunk: string | Buffer): Promise<number> {
  const bytes = Buffer.from(chunk);
  let sent = 0;
  while (!socket.destroyed) {
    sent += bytes.length;
    // What is never read here can still be counted, and no test has to wait for the end of memory.
    if (sent > 2_000_000_000) socket.destroy();
    else if (!socket.write(bytes)) await drained(socket);
    else await new Promise(setImmediate);
  }
  return sent;
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off("drain", done).off("close", done);
      resolve();
    };
    socket.on("drain", done).on("close", done);
  });
}
