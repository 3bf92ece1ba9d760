import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Metrics } from "./metrics.ts";

/** The page for Prometheus, on a port of its own, so that nobody reaches it by way of the public one. */
export interface MetricsServer {
  readonly address: string;
  close(): Promise<void>;
}

/** Starts answering `GET /metrics`. */
export async function startMetricsServer(
  page: Metrics["page"],
  listen: { readonly bindAddress: string; readonly port: number },
): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    // Whoever asked may have left.
    response.on("error", () => undefined);
    answer(page, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(listen.port, listen.bindAddress, resolve);
  });
  // A connection that cannot be taken in must not end the process.
  server.on("error", () => undefined);
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://${listen.bindAddress}:${port}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

async function answer(page: Metrics["page"], request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url?.split("?", 1)[0] !== "/metrics") return void response.writeHead(404).end();
  try {
    const { contentType, body } = await page();
    response.writeHead(200, { "content-type": contentType }).end(body);
  } catch {
    // A worker that has just ended cannot answer; whoever asks comes again.
    response.writeHead(503).end();
  }
}
