import { importPublicKey } from "../../shared/matrix/signing.ts";
import { readServerCredentials, unauthorized, verifySignatures } from "../../shared/matrix/x_matrix.ts";
import { networkOf } from "../access/limits/subject.ts";
import type { Tenant } from "../domains/tenant.ts";
import type { ServerKey, ServerKeys } from "../matrix/keys/server_keys.ts";
import type { RequestContext } from "./request/request_context.ts";

/** What {@link makeAuthenticateServer} needs. */
export interface AuthenticateServerParts {
  readonly serverKeys: Pick<ServerKeys, "find">;
  /** Those of this moment, by server name. */
  readonly tenants: () => ReadonlyMap<string, Tenant>;
  /** Whom a request is for that names no destination. */
  readonly tenantOf: (host: string | undefined) => Tenant;
}

/** Another server, proven by its signatures. */
export interface AuthenticatedServer {
  readonly serverName: string;
  /** Which of our own servers it addressed. */
  readonly tenant: Tenant;
  /** The keys that proved it. */
  readonly keys: readonly ServerKey[];
}

/** Judges which server sent a request: see {@link makeAuthenticateServer}. */
export type AuthenticateServer = (request: RequestContext) => Promise<AuthenticatedServer>;

/**
 * Authentication of federation requests without a body (Server-Server API, "Request Authentication"). The signature covers the
 * target byte for byte as the other server sent it, also where the request came through our edge. A verdict is never
 * remembered: the signature holds no time, so only what arrives now says anything.
 *
 * Errors: 401 `M_UNAUTHORIZED`, also for a destination that is not one of our servers, an origin that is the destination itself, and
 * keys that were had and prove nothing; 502 `M_UNKNOWN` where the keys of the other server cannot be had, with the reason in the log; 503 where there was no time to ask for them: the network that a request
 * comes from has a small part of what is asked at once, since anybody may name any server.
 */
export function makeAuthenticateServer({ serverKeys, tenants, tenantOf }: AuthenticateServerParts): AuthenticateServer {
  return async function authenticateServer(request) {
    const credentials = readServerCredentials(request.headerLines("authorization"));
    const { origin, destination } = credentials;
    const tenant = destination === undefined ? tenantOf(request.host) : tenants().get(destination);
    if (!tenant) throw unauthorized("The request is for another server");
    const keys: ServerKey[] = [];
    const signed = { method: request.method, uri: request.target, origin, destination: tenant.serverName };
    await verifySignatures(signed, credentials, async (keyId) => {
      const key = await serverKeys.find(origin, keyId, networkOf(request.clientAddress));
      if (key) keys.push(key);
      return key && (await importPublicKey(key.publicKey));
    });
    return { serverName: origin, tenant, keys };
  };
}
