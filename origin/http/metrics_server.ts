import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Metrics } from "../platform/metrics.ts";

/** The page for Prometheus, on a port of its own, so that nobody reaches it by way of the public one. */
export interface MetricsServer {
  readonly address: string;
  close(): Promise<void>;
}

/** Starts answering `GET /metrics`. */
export async function startMetricsServer(
  metrics: Metrics,
  listen: { readonly bindAddress: string; readonly port: number },
): Promise<MetricsServer> {
  const server = createServer(async (request, response) => {
    if (request.url?.split("?", 1)[0] !== "/metrics") return void response.writeHead(404).end();
    const { contentType, body } = await metrics.page();
    response.writeHead(200, { "content-type": contentType }).end(body);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(listen.port, listen.bindAddress, resolve);
  });
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
