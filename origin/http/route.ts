import type { ENDPOINT_METHODS } from "../../shared/http/request_line.ts";
import type { Answer } from "../../shared/http/respond.ts";
import type { Credentials } from "../../shared/matrix/access_token.ts";
import type { MatrixError } from "../../shared/matrix/matrix_error.ts";
import type { Counted } from "../access/limits/counted.ts";
import type { AuthenticatedServer } from "../access/servers.ts";
import type { Subject, User } from "../access/subject.ts";
import type { Domain } from "../domains/domain.ts";
import type { Arriving, Served } from "../media/download/servable.ts";
import type { BodyReader } from "./request/request_body.ts";
import type { RequestContext } from "./request/request_context.ts";

/**
 * A route declares what it is; the dispatcher does what all routes have in common, in this order: it finds the homeserver,
 * authenticates, counts the request against its limits, reads path, query and body, calls `handle`, and sends what that
 * returns. So a handler sees valid calls only, and neither the framework nor the connection.
 */
export interface Route<A extends RouteAccess = RouteAccess, P = unknown, Q = unknown, B = unknown> {
  readonly method: Method | readonly Method[];
  /** One path, or every name that the endpoint ever had. `:name` is one segment, a `*` at the end is all that follows. */
  readonly path: string | readonly string[];
  /** Its name in the metrics and in the log. */
  readonly action: string;
  readonly access: A;
  readonly limit: Limited;
  /** Reads the path. Segments are as the client sent them, still percent-encoded. */
  readonly params?: (path: PathOf) => P;
  readonly query?: (query: URLSearchParams) => Q;
  /** Without one, the body is not read. */
  readonly body?: BodyReader<B>;
  handle(call: Call<A, P, Q, Awaited<B>>): Promise<Reply> | Reply;
}

export type Method = (typeof ENDPOINT_METHODS)[number];

/**
 * Who may ask. With a token of the homeserver that the host names:
 *
 * - `user`: 401 without a valid token, 403 for guests. `user_or_guest`: guests too.
 * - `optional`: everybody; a refused token, or a guest's, counts as none.
 * - `token`: everybody with a token, even a refused one: the handler is told why.
 * - `repository_admin`: a user of `admins`, or the shared secret; `domain_admin`: also an administrator of the homeserver. 403.
 *
 * Without one: `server`, another homeserver by its signature; `edge`, our own edge by its hop, 404 for all others; `none`,
 * everybody, for any host.
 */
export type RouteAccess =
  | "none"
  | "optional"
  | "user"
  | "user_or_guest"
  | "token"
  | "repository_admin"
  | "domain_admin"
  | "server"
  | "edge";

/**
 * What a request is counted as by the limits of `rateLimit`: `requests` and no more, where the same path is the same thing; a
 * `download`, of which ranges are parts, or a `thumbnail`, whose size belongs to what it is, with the bytes that are sent.
 */
export type Limited = "none" | "requests" | "download" | "thumbnail";

/** A path as it was asked for. */
export interface PathOf {
  /** Path and query as the client sent them, byte for byte. */
  readonly target: string;
  /** What stands in the place of the `:name`s, and under `*` what follows. */
  readonly segments: Readonly<Record<string, string | undefined>>;
}

/** One request in order, as its handler sees it. */
export type Call<A extends RouteAccess, P = unknown, Q = unknown, B = unknown> = {
  /** The homeserver that the host names; for a `server`, the one that it addressed. Throws 404 where the host names none. */
  readonly domain: Domain;
  /** Against whom the request and its bytes are counted. */
  readonly counted: Counted;
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** Who asks from where, the headers, the signal that ends with the client, the log. */
  readonly request: RequestContext;
} & Requesters[A];

/** A user, with the credentials it came with (to ask the homeserver on its behalf). */
interface ByToken {
  readonly requester: User;
  readonly credentials: Credentials;
}

/** What the handler is told of who asks. */
export interface Requesters {
  none: object;
  optional: { readonly requester: Subject };
  user: ByToken;
  user_or_guest: ByToken;
  token: { readonly credentials: Credentials; readonly judged: User | MatrixError };
  repository_admin: ByToken;
  domain_admin: ByToken;
  server: { readonly server: AuthenticatedServer<Domain> };
  edge: object;
}

/** What a handler answers. Errors are thrown. */
export type Reply = Answer | BytesReply | MediaReply;

/** A body that is here, of whatever type. */
export interface BytesReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: Uint8Array;
}

/** Media, with conditions and ranges: `file`; or for another server, without them: `multipart`. It is published to the edge. */
export type MediaReply =
  | { readonly file: Served | Arriving; readonly multipart?: never }
  | { readonly multipart: Served; readonly file?: never };

/** Declares a route: of its parameters, query and body it infers what the handler gets. */
export function route<A extends RouteAccess, P, Q, B>(declared: Route<A, P, Q, B>): Route<A, P, Q, B> {
  return declared;
}
