import { createHash } from "node:crypto";
import type { Credentials } from "../../shared/matrix/access_token.ts";
import { isForbidden, isUnauthenticated, MatrixError } from "../../shared/matrix/matrix_error.ts";
import type { ServingPolicy } from "../../shared/tiers/domain_policy.ts";
import type { ServerKeys } from "../matrix/keys/server_keys.ts";
import type { Clock, SteadyClock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { EdgeBucket } from "../stores/bucket/edge_bucket.ts";
import type { Buckets } from "../stores/cache/bucket.ts";
import type { Bus } from "../stores/db/bus.ts";
import type { Database } from "../stores/db/database.ts";
import { noteVerdict, takeBackVerdict, type VerdictNote } from "../stores/db/tables/verdicts.ts";
import { type Counted, countAddress, countServer, countUser } from "./limits/counted.ts";
import { Limits } from "./limits/limits.ts";
import { Quotas } from "./limits/quotas.ts";
import type { RateLimits } from "./limits/rate_limits.ts";
import { type AuthenticatedServer, authenticateServer, type ServedDomains } from "./servers.ts";
import type { IncomingRequest, Subject, User } from "./subject.ts";
import type { ApplicationService } from "./tokens/application_service.ts";
import { Logouts } from "./tokens/logouts.ts";
import { Revocations } from "./tokens/revocations.ts";
import { TokenCache } from "./tokens/token_cache.ts";
import { hashToken, type TokenDomain, TokenJudge, tokenNames } from "./tokens/token_judge.ts";
import { QUESTIONS_AT_ONCE, TokenQuestions } from "./tokens/token_questions.ts";
import { type IssuedVerdict, VerdictIssuer } from "./tokens/verdict_issuer.ts";
import { type AuthenticatedUser, credentialsOf, requireCredentials, Users } from "./users.ts";

/** What access is decided with. */
export interface AccessWorld {
  readonly db: Database;
  readonly bus: Bus;
  readonly buckets: Buckets;
  readonly serverKeys: Pick<ServerKeys, "find">;
  /** Absent where there is no edge. */
  readonly edge:
    | {
        readonly bucket: EdgeBucket;
        readonly keepsOrder: () => Promise<boolean>;
        readonly outbox: { deliver(keys: readonly string[]): Promise<void> };
      }
    | undefined;
  readonly clock: Clock;
  readonly steady: SteadyClock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "tokenJudged" | "published" | "limitReached">;
}

/** The part of the configuration that says who may what. */
export interface AccessSettings {
  readonly rateLimit: RateLimits;
  readonly admins: readonly string[];
  readonly sharedSecretAuth: { readonly enabled: boolean; readonly token: string };
}

/** All that a verdict on a token follows from, but for the token. */
export interface AuthPolicy {
  /** Who is asked. */
  readonly csApi: string;
  readonly tokenTtlMs: number;
  readonly applicationServices: readonly ApplicationService[];
  readonly policy: ServingPolicy;
}

/** Who asks, and on whose account it goes. */
export type Admitted<T> = T & { readonly counted: Counted };

/** So many connections to one homeserver suffice for all that is asked at once: of both queues of tokens, and some without a token. */
export const CONNECTIONS_PER_HOMESERVER = 2 * QUESTIONS_AT_ONCE + 16;

/** Equal for equal policies, in every process and after a restart. No secret in them can be read from it. */
export function hashAuthPolicy({ csApi, tokenTtlMs, applicationServices, policy }: AuthPolicy): string {
  const services = applicationServices.map((one) => ({ ...one, userNamespaces: one.userNamespaces.map(String) }));
  return createHash("sha256")
    .update(JSON.stringify([csApi, tokenTtlMs, services, policy]))
    .digest("hex");
}

/**
 * Finds out who asks and whether they may, and how much. A request that says who it is from and cannot show it counts against its
 * address, which holds back those who guess tokens; nobody else is held responsible for that, since many may share an address.
 */
export class Access {
  readonly limits: Limits;
  readonly quotas: Quotas;
  readonly logouts: Logouts;
  readonly #serverKeys: Pick<ServerKeys, "find">;
  readonly #cache: TokenCache;
  readonly #questions: TokenQuestions;
  readonly #revocations: Revocations;
  readonly #users: Users;
  readonly #issuer: VerdictIssuer | undefined;
  #settings: AccessSettings;
  /** The policy hash of each homeserver that is served now. */
  #inForce: ReadonlyMap<string, string> = new Map();
  #stopListening: (() => Promise<void>) | undefined;

  private constructor(world: AccessWorld, settings: AccessSettings) {
    const { db, bus, buckets, serverKeys, edge, clock, steady, log, metrics } = world;
    this.#settings = settings;
    this.#serverKeys = serverKeys;
    this.limits = new Limits({
      settings: () => this.#settings.rateLimit,
      ...{ buckets, clock, steady, log, metrics },
    });
    this.quotas = new Quotas(db);
    this.#cache = new TokenCache({ clock, steady });
    const cache = this.#cache;
    this.#questions = new TokenQuestions({
      clock: steady,
      checkFailures: (address) => this.limits.checkFailures(address),
    });
    const questions = this.#questions;
    const notes = {
      note: (note: Parameters<typeof noteVerdict>[1]) => noteVerdict(db, note),
      takeBack: (note: VerdictNote) => takeBackVerdict(db, note),
    };
    const judge = new TokenJudge({ notes, clock, steady, cache, metrics, questions });
    const deliver = edge && ((keys: readonly string[]) => edge.outbox.deliver(keys));
    this.#revocations = new Revocations({ db, bus, clock, log, cache, deliver });
    this.logouts = new Logouts({ db, clock, log, revocations: this.#revocations, questions });
    const sharedSecret = () => {
      const { enabled, token } = this.#settings.sharedSecretAuth;
      return enabled ? token : undefined;
    };
    this.#users = new Users({ judge, sharedSecret, isAdmin: (userId) => this.#settings.admins.includes(userId) });
    this.#issuer =
      edge &&
      new VerdictIssuer({
        ...{ db, clock, steady, judge, cache, metrics, sharedSecret },
        bucket: edge.bucket,
        hasConditionalWrites: edge.keepsOrder,
        isInForce: ({ serverName, authPolicyHash }) => this.#inForce.get(serverName) === authPolicyHash,
      });
  }

  /** Opens it. To be followed by {@link Access.follow}, before anybody is let in. */
  static async open(world: AccessWorld, settings: AccessSettings): Promise<Access> {
    const access = new Access(world, settings);
    access.#stopListening = await access.#revocations.listen();
    return access;
  }

  /**
   * Takes what the configuration says now, forgets what is remembered, and revokes what the edge remembers under another policy than
   * those of these homeservers. With `deliver` it resolves when the edge has been told.
   */
  async follow(
    settings: AccessSettings,
    domains: readonly TokenDomain[],
    { deliver }: { readonly deliver: boolean },
  ): Promise<void> {
    this.#settings = settings;
    this.#inForce = new Map(domains.map(({ serverName, authPolicyHash }) => [serverName, authPolicyHash]));
    this.#cache.clear();
    await this.#revocations.revokeStale(domains, { deliver });
  }

  async close(): Promise<void> {
    await this.#stopListening?.();
  }

  /** Whoever asks from an address, without saying who it is. */
  nobody({ clientAddress }: IncomingRequest): Counted {
    return countAddress(clientAddress);
  }

  /** A user of this homeserver. Errors: 401 without a good token; 403 for guests unless they may. */
  async requireUser(
    request: IncomingRequest,
    domain: TokenDomain,
    audience: "user" | "user_or_guest",
  ): Promise<Admitted<AuthenticatedUser>> {
    const user = await this.#countingFailures(request, this.#users.requireUser(request, domain, audience));
    return { ...user, counted: countSubject(request, user.requester) };
  }

  /** Anybody; a token that is refused, or a guest's, counts as none. */
  async findUser(request: IncomingRequest, domain: TokenDomain): Promise<Admitted<{ readonly requester: Subject }>> {
    const requester = await this.#users.findUser(request, domain);
    return { requester, counted: countSubject(request, requester) };
  }

  /** The bearer of a token, or how the token was refused. Errors: 401 without a token. */
  async requireBearer(
    request: IncomingRequest,
    domain: TokenDomain,
  ): Promise<Admitted<{ readonly judged: User | MatrixError; readonly credentials: Credentials }>> {
    try {
      const { requester, credentials, counted } = await this.requireUser(request, domain, "user_or_guest");
      return { judged: requester, credentials, counted };
    } catch (error) {
      if (!isUnauthenticated(error) && !isForbidden(error)) throw error;
      return { judged: error, credentials: requireCredentials(request), counted: countAddress(request.clientAddress) };
    }
  }

  /** A user of `admins`, or the bearer of the shared secret. Errors: 403 for all others. */
  requireRepositoryAdmin({ requester }: AuthenticatedUser): void {
    if (requester.isRepositoryAdmin) return;
    throw new MatrixError("M_FORBIDDEN", "Only for administrators of the repository");
  }

  /** An administrator of the homeserver, or of the repository. Errors: 403 for all others. */
  async requireDomainAdmin(
    { requester, credentials }: AuthenticatedUser,
    domain: { readonly isServerAdmin: (credentials: Credentials) => Promise<boolean> },
  ): Promise<void> {
    if (requester.isRepositoryAdmin || (await domain.isServerAdmin(credentials))) return;
    throw new MatrixError("M_FORBIDDEN", "Only for administrators of the homeserver");
  }

  /** Another homeserver, by its signature. Errors: see {@link authenticateServer}. */
  async requireServer<D extends { readonly serverName: string }>(
    request: IncomingRequest,
    domains: ServedDomains<D>,
  ): Promise<Admitted<{ readonly server: AuthenticatedServer<D> }>> {
    await this.limits.checkFailures(request.clientAddress);
    const server = await this.#countingFailures(request, authenticateServer(request, domains, this.#serverKeys));
    return { server, counted: countServer(server.serverName) };
  }

  /** Whether there is an edge to be told what tokens are worth. */
  get issuesVerdicts(): boolean {
    return this.#issuer !== undefined;
  }

  /** What a token is worth, for the edge: see {@link VerdictIssuer.issue}. Its bearer is counted when the edge comes for more. */
  async issueVerdict(
    request: IncomingRequest,
    domain: TokenDomain & { readonly policy: ServingPolicy },
  ): Promise<IssuedVerdict> {
    const credentials = requireCredentials(request);
    const { host = "", clientAddress } = request;
    if (!this.#issuer) throw new MatrixError("M_UNRECOGNIZED", "Unrecognized request");
    return await this.#countingFailures(request, this.#issuer.issue(domain, credentials, { host, clientAddress }));
  }

  /** Equal for requests that a homeserver cannot tell apart by their tokens. */
  async nameClient(request: IncomingRequest, { serverName }: { readonly serverName: string }): Promise<string> {
    const credentials = credentialsOf(request);
    return credentials ? (await tokenNames(serverName, credentials)).key : serverName;
  }

  /** Asks a homeserver something on behalf of a client that may have a token; with one, when it is the client's turn. */
  async askAsClient<T>(
    request: IncomingRequest,
    { serverName }: { readonly serverName: string },
    question: (credentials: Credentials | undefined) => Promise<T>,
  ): Promise<T> {
    const credentials = credentialsOf(request);
    if (!credentials) return await question(undefined);
    const { clientAddress } = request;
    const asker = { serverName, tokenHash: hashToken(credentials.token), clientAddress };
    return await this.#questions.ask(asker, () => question(credentials));
  }

  /**
   * What `authenticating` finds; that it is refused counts against the address. A token that the homeserver knows to have been
   * somebody's (`soft_logout`) is no guess: whole crowds come with one that has expired a moment ago.
   */
  async #countingFailures<T>({ clientAddress }: IncomingRequest, authenticating: Promise<T>): Promise<T> {
    try {
      return await authenticating;
    } catch (error) {
      if (isUnauthenticated(error) && error.extra.soft_logout !== true) await this.limits.countFailure(clientAddress);
      throw error;
    }
  }
}

/** As whom a request is counted. Repository administrators are exempt: they could as well change the limits. */
function countSubject({ clientAddress }: IncomingRequest, subject: Subject): Counted {
  if (subject.kind === "anonymous") return countAddress(clientAddress);
  return countUser(subject.userId, subject.isRepositoryAdmin || subject.isUnlimited === true);
}
