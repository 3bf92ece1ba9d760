/** Who asks, once the token (or its absence) has been judged. */
export type Subject = { readonly kind: "anonymous" } | User;

/** A user, by a token that was found good. */
export interface User {
  readonly kind: "user";
  readonly userId: string;
  readonly isGuest: boolean;
  /** Listed in `admins`, or the shared secret: may do anything with any media here. */
  readonly isRepositoryAdmin: boolean;
  /** A user of an application service that is not to be held to the limits of `rateLimit`. */
  readonly isUnlimited?: boolean | undefined;
}

/** A request, as far as it says who sent it. */
export interface IncomingRequest {
  readonly method: string;
  /** Path and query as the client sent them, byte for byte. */
  readonly target: string;
  readonly query: URLSearchParams;
  /** The host the client asked for. */
  readonly host: string | undefined;
  readonly clientAddress: string | undefined;
  /** It came through our own edge, proven by its signature. */
  readonly fromEdge: boolean;
  /** One header, by its lower-case name. */
  header(name: string): string | undefined;
  headerLines(name: string): readonly string[];
}
