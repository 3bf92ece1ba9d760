import { createHash, timingSafeEqual } from "node:crypto";
import type { Credentials } from "../../../shared/matrix/access_token.ts";
import type { Identity } from "./token_cache.ts";

/** An application service as the configuration lists it (`accessTokens.appservices`). */
export interface ApplicationService {
  readonly asToken: string;
  readonly senderUserId: string;
  /** Users it may act as, beside its sender. */
  readonly userNamespaces: readonly RegExp[];
  /** Whether the limits of `rateLimit` hold for its users (`rate_limited` of its registration; they do unless it says no, as in Synapse). */
  readonly rateLimited: boolean;
}

/**
 * Judges an application service's token without asking the homeserver (Application Service API, "Identity assertion").
 * Without `user_id` it acts as its sender; with one of this server inside its namespaces, as that user. Anything else is
 * left to the homeserver: `undefined`.
 */
export function judgeApplicationService(
  services: readonly ApplicationService[],
  credentials: Credentials,
  serverName: string,
): Identity | undefined {
  const service = services.find((one) => sameSecret(one.asToken, credentials.token));
  if (!service || credentials.deviceId !== undefined) return undefined;
  const { senderUserId, userNamespaces } = service;
  const wanted = credentials.userId ?? senderUserId;
  if (!wanted?.endsWith(`:${serverName}`)) return undefined;
  const allowed = wanted === senderUserId || userNamespaces.some((pattern) => pattern.test(wanted));
  return allowed ? { userId: wanted, isGuest: false, isUnlimited: !service.rateLimited } : undefined;
}

/** Whom the bearer of the shared secret is taken for (MMR's `sharedSecretAuth`). */
export const SHARED_SECRET_USER = "@sharedsecret";

/** Compares two secrets in a time that tells nothing about either. */
export function sameSecret(one: string, other: string): boolean {
  return timingSafeEqual(digest(one), digest(other));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
