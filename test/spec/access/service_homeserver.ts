import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Lifetime } from "../../support/lifetime.ts";

/** A homeserver with one application service, and what it was asked: paths with their queries, in order. */
export interface ServiceHomeserver {
  readonly url: string;
  readonly asked: string[];
}

/** The application service that it knows. */
export const SERVICE = {
  token: "token_of_the_service",
  sender: "@bot:example.org",
  namespace: "^@bridged_.*:example\\.org$",
  devices: ["DEVICE_1", "DEVICE_2"],
} as const;

/** Somebody with a session of the usual kind. */
export const PERSON = { token: "token_of_a_person", userId: "@person:example.org", deviceId: "PHONE" } as const;

/**
 * A homeserver of somebody else's that answers `whoami` as the Application Service API demands ("Identity assertion"): a service
 * without `user_id` is its sender; with one it is that user, where its namespaces hold it; `device_id` must be one of the user's.
 */
export async function startServiceHomeserver(lifetime: Lifetime): Promise<ServiceHomeserver> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  lifetime.after(
    () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(resolve);
      }),
  );
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? "/", "http://homeserver");
  const [status, body] = url.pathname.endsWith("/whoami")
    ? whoami(request.headers.authorization ?? "", url.searchParams)
    : refusal(404, "M_UNRECOGNIZED");
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function whoami(authorization: string, query: URLSearchParams): [number, object] {
  if (authorization === `Bearer ${PERSON.token}`) return [200, { user_id: PERSON.userId, device_id: PERSON.deviceId }];
  if (authorization !== `Bearer ${SERVICE.token}`) return refusal(401, "M_UNKNOWN_TOKEN");
  const userId = query.get("user_id") ?? SERVICE.sender;
  if (userId !== SERVICE.sender && !new RegExp(SERVICE.namespace).test(userId)) return refusal(403, "M_FORBIDDEN");
  const deviceId = query.get("device_id");
  if (deviceId === null) return [200, { user_id: userId }];
  const known = SERVICE.devices.some((one) => one === deviceId);
  return known ? [200, { user_id: userId, device_id: deviceId }] : refusal(400, "M_UNKNOWN_DEVICE");
}

function refusal(status: number, errcode: string): [number, object] {
  return [status, { errcode, error: "The homeserver says no" }];
}
