import { importPublicKey } from "../../shared/matrix/signing.ts";
import { readServerCredentials, unauthorized, verifySignatures } from "../../shared/matrix/x_matrix.ts";
import type { ServerKey, ServerKeys } from "../matrix/keys/server_keys.ts";
import { networkOf } from "./limits/counted.ts";
import type { IncomingRequest } from "./subject.ts";

/** The homeservers that are served here. */
export interface ServedDomains<D> {
  withName(serverName: string): D | undefined;
  /** Throws 404 where the host names none. */
  atHost(host: string | undefined): D;
}

/** Another server, proven by its signatures. */
export interface AuthenticatedServer<D> {
  readonly serverName: string;
  /** Which of our own servers it addressed. */
  readonly domain: D;
  /** The keys that proved it. */
  readonly keys: readonly ServerKey[];
}

/**
 * Authentication of federation requests without a body (Server-Server API, "Request Authentication"). The signature covers the
 * target byte for byte as the other server sent it, also where the request came through our edge. A verdict is never
 * remembered: the signature holds no time, so only what arrives now says anything.
 *
 * Errors: 401 `M_UNAUTHORIZED`, also for a destination that is not one of our servers, an origin that is the destination itself, and
 * keys that were had and prove nothing; 502 `M_UNKNOWN` where the keys of the other server cannot be had, with the reason in the log;
 * 503 where there was no time to ask for them: the network that a request comes from has a small part of what is asked at once, since
 * anybody may name any server.
 */
export async function authenticateServer<D extends { readonly serverName: string }>(
  request: IncomingRequest,
  domains: ServedDomains<D>,
  serverKeys: Pick<ServerKeys, "find">,
): Promise<AuthenticatedServer<D>> {
  const credentials = readServerCredentials(request.headerLines("authorization"));
  const { origin, destination } = credentials;
  const domain = destination === undefined ? domains.atHost(request.host) : domains.withName(destination);
  if (!domain) throw unauthorized("The request is for another server");
  const keys: ServerKey[] = [];
  const signed = { method: request.method, uri: request.target, origin, destination: domain.serverName };
  await verifySignatures(signed, credentials, async (keyId) => {
    const key = await serverKeys.find(origin, keyId, networkOf(request.clientAddress));
    if (key) keys.push(key);
    return key && (await importPublicKey(key.publicKey));
  });
  return { serverName: origin, domain, keys };
}
