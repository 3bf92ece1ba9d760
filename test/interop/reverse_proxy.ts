import {
  request as ask,
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import { createServer as createSecureServer } from "node:https";
import { pipeline } from "node:stream";
import type { Certificate } from "../support/certificates.ts";
import type { Lifetime } from "../support/lifetime.ts";

/** The paths that belong to the media repository; a reverse proxy sends everything else to the homeserver. */
const OURS = [
  /^\/_matrix\/media\//,
  /^\/_matrix\/client\/v1\/media\//,
  /^\/_matrix\/client\/(r0|v3)\/logout(\/all)?$/,
  /^\/_matrix\/client\/versions$/,
  /^\/_matrix\/federation\/(v1|unstable\/org\.matrix\.msc3916(\.v2)?)\/media\//,
];

/** Where a proxy sends what. */
export interface ProxyOptions {
  /** The media repository: either of its tiers, asked for anew with each request. */
  readonly media: () => string;
  /** The homeserver: an address, or who answers in its place. */
  readonly homeserver: string | RequestListener;
  /** With these it speaks TLS. */
  readonly tls?: Certificate;
  /** Default: a free one. */
  readonly port?: number;
}

/** Starts a reverse proxy on loopback, as an operator has one before homeserver and repository. Returns its address. */
export async function startProxy(lifetime: Lifetime, options: ProxyOptions): Promise<string> {
  const { media, homeserver, tls } = options;
  const answer: RequestListener = (request, response) => {
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    if (OURS.some((pattern) => pattern.test(path))) pass(media(), request, response);
    else if (typeof homeserver === "string") pass(homeserver, request, response);
    else homeserver(request, response);
  };
  const server = tls ? createSecureServer(tls, answer) : createServer(answer);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  lifetime.after(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  );
  const { port } = server.address() as { port: number };
  return `${tls ? "https" : "http"}://127.0.0.1:${port}`;
}

/** Passes a request on with its path and headers as they are, and streams the answer back. */
function pass(to: string, request: IncomingMessage, response: ServerResponse): void {
  const { hostname, port } = new URL(to);
  const { method = "GET", url: path, headers } = request;
  const passing = ask({ hostname, port, method, path, headers, agent: false }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    pipeline(answer, response, () => undefined);
  });
  passing.on("error", () => (response.headersSent ? response.destroy() : response.writeHead(502).end()));
  pipeline(request, passing, () => undefined);
}
