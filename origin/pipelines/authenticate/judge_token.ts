import { createHash } from "node:crypto";
import type { Credentials } from "../../../shared/access_token.ts";
import { verdictKey } from "../../../shared/object_key.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Metrics } from "../../platform/metrics.ts";
import { SingleFlight } from "../../platform/single_flight.ts";
import { type ApplicationService, judgeApplicationService } from "./application_service.ts";
import type { Identity, JudgedIdentity, TokenCache, TokenNames } from "./token_cache.ts";

/** What judging tokens needs to know of a domain. */
export interface TokenDomain {
  readonly serverName: string;
  readonly applicationServices: readonly ApplicationService[];
  /** How long a good answer is remembered, in milliseconds; 0 remembers nothing. */
  readonly tokenTtlMs: number;
  /** Asks the homeserver whose token it is. Throws the Matrix error the client must get. */
  readonly whoami: (credentials: Credentials, clientAddress: string | undefined) => Promise<Identity>;
}

/** From where a token came: decides under which names it is remembered. */
export interface TokenContext {
  readonly host: string;
  readonly clientAddress: string | undefined;
  /** The answer may become a verdict in the edge bucket: its generation must be older than any later revocation. */
  readonly fenced: boolean;
}

/** What `makeJudgeToken` needs. `drawGeneration` notes the names in the database and draws a generation, before anybody is asked. */
export interface JudgeTokenParts {
  readonly clock: Clock;
  readonly cache: TokenCache;
  readonly metrics: Pick<Metrics, "tokenJudged">;
  readonly drawGeneration: (names: TokenNames, domain: TokenDomain) => Promise<number>;
}

/** The names under which a token is remembered and revoked. */
export async function tokenNames(host: string, credentials: Credentials): Promise<TokenNames> {
  const { token, userId, deviceId } = credentials;
  const key = await verdictKey({
    host,
    token,
    ...(userId === undefined ? {} : { userId }),
    ...(deviceId === undefined ? {} : { deviceId }),
  });
  return { key, tokenHash: hashToken(token) };
}

/** The only form in which a token is ever stored: its SHA-256 in hexadecimal. */
export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** Judges tokens: see {@link makeJudgeToken}. */
export type JudgeToken = (
  domain: TokenDomain,
  credentials: Credentials,
  context: TokenContext,
) => Promise<JudgedIdentity>;

/**
 * Judges access tokens: by memory, then as an application service of the configuration, then by the homeserver. Many who
 * ask for the same token at once cost one question. Refusals and outages are thrown as the Matrix error that the client
 * must get, and never remembered.
 */
export function makeJudgeToken(parts: JudgeTokenParts): JudgeToken {
  const asking = new SingleFlight<JudgedIdentity>();

  return async function judgeToken(domain, credentials, context) {
    const names = await tokenNames(context.host, credentials);
    const known = parts.cache.get(names.key);
    if (known && (known.generation > 0 || !context.fenced)) {
      parts.metrics.tokenJudged("cache");
      return known;
    }
    // Who comes after a revocation does not join a question that was asked before it.
    const begun = parts.cache.begin();
    const flight = `${context.fenced} ${begun} ${names.key}`;
    return await asking.run(flight, () => ask(domain, credentials, context, names, begun));
  };

  async function ask(
    domain: TokenDomain,
    credentials: Credentials,
    context: TokenContext,
    names: TokenNames,
    begun: number,
  ): Promise<JudgedIdentity> {
    const generation = context.fenced ? await parts.drawGeneration(names, domain) : 0;
    const askedMs = parts.clock();
    const found = await identify(domain, credentials, context);
    const identity = { ...found, generation, expiresAt: askedMs + domain.tokenTtlMs };
    parts.cache.put(names, identity, begun);
    return identity;
  }

  async function identify(domain: TokenDomain, credentials: Credentials, context: TokenContext): Promise<Identity> {
    const service = judgeApplicationService(domain.applicationServices, credentials, domain.serverName);
    parts.metrics.tokenJudged(service ? "application_service" : "homeserver");
    return service ?? (await domain.whoami(credentials, context.clientAddress));
  }
}
