import { type Credentials, readCredentials } from "../../shared/matrix/access_token.ts";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import type { Subject } from "../access/subject.ts";
import { SHARED_SECRET_USER, sameSecret } from "../access/tokens/application_service.ts";
import type { JudgeToken, TokenDomain } from "../access/tokens/judge_token.ts";
import type { RequestContext } from "./request/request_context.ts";

/** What {@link makeAuthenticate} needs. */
export interface AuthenticateParts {
  readonly judgeToken: JudgeToken;
  /** MMR's shared secret: its bearer is the user `@sharedsecret` and an administrator of the repository. */
  readonly sharedSecret: () => string | undefined;
  /** Whether a user is listed among the repository's administrators. */
  readonly isAdmin: (userId: string) => boolean;
}

/** A user, with the credentials it came with (to ask the homeserver on its behalf). */
export interface AuthenticatedUser {
  readonly subject: Extract<Subject, { kind: "user" }>;
  readonly credentials: Credentials;
}

/** Judges who sent a request: see {@link makeAuthenticate}. */
export interface Authenticate {
  /** Errors: 401 `M_MISSING_TOKEN` without a token; 403 for guests where they are not allowed; what the homeserver says of the token. */
  user(request: RequestContext, domain: TokenDomain, audience: "user" | "user_or_guest"): Promise<AuthenticatedUser>;
  /** For endpoints that work without a token: no token, a refused token and a guest's are all anonymous; an outage is an error. */
  optional(request: RequestContext, domain: TokenDomain): Promise<Subject>;
}

const ANONYMOUS: Subject = { kind: "anonymous" };

/** Authentication by access token (Client-Server API, "Client Authentication"; guests: MSC4189). */
export function makeAuthenticate(parts: AuthenticateParts): Authenticate {
  async function subjectOf(request: RequestContext, domain: TokenDomain, credentials: Credentials) {
    const secret = parts.sharedSecret();
    if (secret !== undefined && sameSecret(secret, credentials.token)) {
      return { kind: "user", userId: SHARED_SECRET_USER, isGuest: false, isRepositoryAdmin: true } as const;
    }
    const { host, clientAddress, fromEdge } = request;
    const identity = await parts.judgeToken(domain, credentials, {
      host: fromEdge && host !== undefined ? host : domain.serverName,
      clientAddress,
      fenced: false,
    });
    const { userId, isGuest, isUnlimited } = identity;
    const isRepositoryAdmin = !isGuest && parts.isAdmin(userId);
    return { kind: "user", userId, isGuest, isRepositoryAdmin, isUnlimited } as const;
  }

  return {
    async user(request, domain, audience) {
      const credentials = requireCredentials(request);
      const subject = await subjectOf(request, domain, credentials);
      if (subject.isGuest && audience === "user") {
        throw new MatrixError("M_GUEST_ACCESS_FORBIDDEN", "Guests cannot use this endpoint");
      }
      return { subject, credentials };
    },
    async optional(request, domain) {
      try {
        const credentials = credentialsOf(request);
        if (!credentials) return ANONYMOUS;
        const subject = await subjectOf(request, domain, credentials);
        return subject.isGuest ? ANONYMOUS : subject;
      } catch (error) {
        if (error instanceof MatrixError && (error.status === 401 || error.status === 403)) return ANONYMOUS;
        throw error;
      }
    },
  };
}

/** As {@link credentialsOf}. Errors: also 401 `M_MISSING_TOKEN` without a token. */
export function requireCredentials(request: RequestContext): Credentials {
  const credentials = credentialsOf(request);
  if (credentials) return credentials;
  throw new MatrixError("M_MISSING_TOKEN", "Cannot answer without an access token");
}

/** The access token of a request with the user and device it names. Errors: those of `readCredentials`. */
export function credentialsOf(request: RequestContext): Credentials | undefined {
  return readCredentials(request.header("authorization"), request.query);
}
