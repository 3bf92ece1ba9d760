import { type Credentials, readCredentials } from "../../shared/matrix/access_token.ts";
import { isForbidden, isUnauthenticated, MatrixError } from "../../shared/matrix/matrix_error.ts";
import type { IncomingRequest, Subject, User } from "./subject.ts";
import { SHARED_SECRET_USER, sameSecret } from "./tokens/application_service.ts";
import type { TokenDomain, TokenJudge } from "./tokens/token_judge.ts";

/** What users are recognised with. */
export interface UsersParts {
  readonly judge: TokenJudge;
  /** MMR's shared secret: its bearer is the user `@sharedsecret` and an administrator of the repository. */
  readonly sharedSecret: () => string | undefined;
  /** Whether a user is listed among the repository's administrators. */
  readonly isAdmin: (userId: string) => boolean;
}

/** A user, with the credentials it came with (to ask the homeserver on its behalf). */
export interface AuthenticatedUser {
  readonly requester: User;
  readonly credentials: Credentials;
}

const ANONYMOUS: Subject = { kind: "anonymous" };

/** Authentication by access token (Client-Server API, "Client Authentication"; guests: MSC4189). */
export class Users {
  readonly #parts: UsersParts;

  constructor(parts: UsersParts) {
    this.#parts = parts;
  }

  /** Errors: 401 `M_MISSING_TOKEN` without a token; 403 for guests where they are not allowed; what the homeserver says of the token. */
  async requireUser(
    request: IncomingRequest,
    domain: TokenDomain,
    audience: "user" | "user_or_guest",
  ): Promise<AuthenticatedUser> {
    const credentials = requireCredentials(request);
    const requester = await this.#userOf(request, domain, credentials);
    if (requester.isGuest && audience === "user") {
      throw new MatrixError("M_GUEST_ACCESS_FORBIDDEN", "Guests cannot use this endpoint");
    }
    return { requester, credentials };
  }

  /** For endpoints that work without a token: no token, a refused token and a guest's are all anonymous; an outage is an error. */
  async findUser(request: IncomingRequest, domain: TokenDomain): Promise<Subject> {
    try {
      const credentials = credentialsOf(request);
      if (!credentials) return ANONYMOUS;
      const user = await this.#userOf(request, domain, credentials);
      return user.isGuest ? ANONYMOUS : user;
    } catch (error) {
      if (isUnauthenticated(error) || isForbidden(error)) return ANONYMOUS;
      throw error;
    }
  }

  async #userOf(request: IncomingRequest, domain: TokenDomain, credentials: Credentials): Promise<User> {
    const { judge, sharedSecret, isAdmin } = this.#parts;
    const secret = sharedSecret();
    if (secret !== undefined && sameSecret(secret, credentials.token)) {
      return { kind: "user", userId: SHARED_SECRET_USER, isGuest: false, isRepositoryAdmin: true };
    }
    const { host, clientAddress, fromEdge } = request;
    const { userId, isGuest, isUnlimited } = await judge.judge(domain, credentials, {
      host: fromEdge && host !== undefined ? host : domain.serverName,
      clientAddress,
      fenced: false,
    });
    return { kind: "user", userId, isGuest, isRepositoryAdmin: !isGuest && isAdmin(userId), isUnlimited };
  }
}

/** As {@link credentialsOf}. Errors: also 401 `M_MISSING_TOKEN` without a token. */
export function requireCredentials(request: IncomingRequest): Credentials {
  const credentials = credentialsOf(request);
  if (credentials) return credentials;
  throw new MatrixError("M_MISSING_TOKEN", "Cannot answer without an access token");
}

/** The access token of a request with the user and device it names. Errors: those of `readCredentials`. */
export function credentialsOf(request: IncomingRequest): Credentials | undefined {
  return readCredentials(request.header("authorization"), request.query);
}
