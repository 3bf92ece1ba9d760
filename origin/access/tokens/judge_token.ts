import { createHash } from "node:crypto";
import type { Credentials } from "../../../shared/matrix/access_token.ts";
import { verdictKey } from "../../../shared/tiers/object_key.ts";
import type { Clock, SteadyClock } from "../../platform/clock.ts";
import type { Metrics } from "../../platform/metrics.ts";
import { SingleFlight } from "../../platform/work_queue.ts";
import type { VerdictNote } from "../../stores/db/tables/verdicts.ts";
import { type ApplicationService, judgeApplicationService } from "./application_service.ts";
import type { Identity, JudgedIdentity, TokenCache, TokenNames } from "./token_cache.ts";
import type { TokenLines } from "./token_lines.ts";

/** What judging tokens needs to know of a domain. */
export interface TokenDomain {
  readonly serverName: string;
  readonly applicationServices: readonly ApplicationService[];
  /** A fingerprint of what the configuration says of its tokens (`terms.ts`): what is remembered under other terms is void. */
  readonly terms: string;
  /** How long a good answer is remembered, in milliseconds; 0 remembers nothing. */
  readonly tokenTtlMs: number;
  /** Asks the homeserver whose token it is. Throws the Matrix error the client must get. */
  readonly whoami: (credentials: Credentials, clientAddress: string | undefined) => Promise<Identity>;
}

/** From where a token came: decides under which names it is remembered. */
export interface TokenContext {
  readonly host: string;
  readonly clientAddress: string | undefined;
  /** The answer may become a verdict in the edge bucket: it must be noted before the homeserver is asked. */
  readonly fenced: boolean;
}

/** What `makeJudgeToken` needs. */
export interface JudgeTokenParts {
  readonly clock: Clock;
  readonly steady: SteadyClock;
  readonly cache: TokenCache;
  readonly metrics: Pick<Metrics, "tokenJudged">;
  /** In which the homeserver is asked. */
  readonly lines: Pick<TokenLines, "judge">;
  /** Notes the names in the database, before anybody is asked. */
  readonly note: (names: TokenNames, domain: TokenDomain) => Promise<VerdictNote>;
  /** Takes back what was noted, because it came to nothing. */
  readonly takeBack: (note: VerdictNote) => Promise<void>;
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
    const entry = { key: `${domain.terms} ${names.key}`, tokenHash: names.tokenHash };
    const known = parts.cache.get(entry.key);
    if (known && (known.note || !context.fenced)) {
      parts.metrics.tokenJudged("cache");
      return known;
    }
    // Who comes after a revocation does not join a question that was asked before it.
    const begun = parts.cache.begin();
    const flight = `${context.fenced} ${begun} ${entry.key}`;
    return await asking.run(flight, async () => {
      const untilMs = parts.steady() + domain.tokenTtlMs;
      const judged = await ask(domain, credentials, context, names);
      parts.cache.put(entry, judged, { begun, untilMs });
      return judged;
    });
  };

  async function ask(
    domain: TokenDomain,
    credentials: Credentials,
    { clientAddress, fenced }: TokenContext,
    names: TokenNames,
  ): Promise<JudgedIdentity> {
    const service = judgeApplicationService(domain.applicationServices, credentials, domain.serverName);
    parts.metrics.tokenJudged(service ? "application_service" : "homeserver");
    if (service) return await noted(async () => service);
    const asker = { serverName: domain.serverName, tokenHash: names.tokenHash, clientAddress };
    return await parts.lines.judge(asker, () => noted(() => domain.whoami(credentials, clientAddress)));

    async function noted(identify: () => Promise<Identity>): Promise<JudgedIdentity> {
      const note = fenced ? await parts.note(names, domain) : undefined;
      const askedMs = parts.clock();
      try {
        return { ...(await identify()), note, expiresAt: askedMs + domain.tokenTtlMs };
      } catch (error) {
        // Whoever tries tokens leaves no trace. What can't be taken back now expires soon.
        if (note) await parts.takeBack(note).catch(() => undefined);
        throw error;
      }
    }
  }
}
