import { createServer, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Certificate } from "./certificates.ts";

/** A server of somebody else's, on a free port of one loopback address, that counts who reaches it. */
export interface Listener {
  port: number;
  /** TCP connections that were accepted. */
  connections: number;
  /** Requests, each as `METHOD host path`. */
  asked: string[];
  close(): Promise<void>;
}

/** Starts it, with TLS if there is a certificate. */
export async function listen(
  handler: RequestListener,
  options: { address?: string; port?: number; tls?: Certificate; onServerName?: (name: string) => void } = {},
): Promise<Listener> {
  const listener: Listener = { port: 0, connections: 0, asked: [], close };
  const counted: RequestListener = (request, response) => {
    listener.asked.push(`${request.method} ${request.headers.host} ${request.url}`);
    handler(request, response);
  };
  const server = options.tls ? createSecureServer(options.tls, counted) : createServer(counted);
  server.on("connection", () => {
    listener.connections += 1;
  });
  server.on("secureConnection", (socket) => options.onServerName?.(String(socket.servername)));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, options.address ?? "127.0.0.1", resolve);
  });
  // A test that fails before it closes its listener must end all the same.
  server.unref();
  listener.port = (server.address() as AddressInfo).port;
  return listener;

  function close(): Promise<void> {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  }
}
