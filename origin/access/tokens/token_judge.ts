import { createHash } from "node:crypto";
import type { Credentials } from "../../../shared/matrix/access_token.ts";
import { verdictKey } from "../../../shared/tiers/object_key.ts";
import type { Clock, SteadyClock } from "../../platform/clock.ts";
import type { Metrics } from "../../platform/metrics.ts";
import { SingleFlight } from "../../platform/work_queue.ts";
import type { VerdictNote } from "../../stores/db/tables/verdicts.ts";
import { type ApplicationService, judgeApplicationService } from "./application_service.ts";
import type { Identity, JudgedIdentity, TokenCache, TokenNames } from "./token_cache.ts";
import type { TokenQuestions } from "./token_questions.ts";

/** A homeserver that is served here, as far as its tokens are concerned. */
export interface TokenDomain {
  readonly serverName: string;
  readonly applicationServices: readonly ApplicationService[];
  /** What is remembered under another hash is void. */
  readonly authPolicyHash: string;
  /** How long a good answer is remembered, in milliseconds; 0 remembers nothing. */
  readonly tokenTtlMs: number;
  readonly homeserver: {
    /** Asks whose token it is. Throws the error that the client must get. */
    whoami(credentials: Credentials, asker: { readonly clientAddress: string | undefined }): Promise<Identity>;
  };
}

/** From where a token came: decides under which names it is remembered. */
export interface TokenContext {
  readonly host: string;
  readonly clientAddress: string | undefined;
  /** The answer may become a verdict in the edge bucket: it must be noted before the homeserver is asked. */
  readonly fenced: boolean;
}

/** What tokens are judged with. */
export interface TokenJudgeParts {
  /** The database, as far as it keeps names of tokens that are being asked about. */
  readonly notes: {
    note(
      names: TokenNames & { readonly serverName: string; readonly terms: string; readonly expiresAt: number },
    ): Promise<VerdictNote>;
    takeBack(note: VerdictNote): Promise<void>;
  };
  readonly clock: Clock;
  readonly steady: SteadyClock;
  readonly cache: TokenCache;
  readonly metrics: Pick<Metrics, "tokenJudged">;
  /** By which the homeserver is asked. */
  readonly questions: Pick<TokenQuestions, "judge">;
}

/** A verdict that was noted and not settled by then is forgotten, in milliseconds: homeservers are not waited for so long. */
const UNSETTLED_MS = 60_000;

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

/**
 * Judges access tokens: by memory, then as an application service of the configuration, then by the homeserver. Many who
 * ask for the same token at once cost one question. Refusals and outages are thrown as what the client must get, and never
 * remembered.
 */
export class TokenJudge {
  readonly #parts: TokenJudgeParts;
  readonly #asking = new SingleFlight<JudgedIdentity>();

  constructor(parts: TokenJudgeParts) {
    this.#parts = parts;
  }

  async judge(domain: TokenDomain, credentials: Credentials, context: TokenContext): Promise<JudgedIdentity> {
    const { cache, metrics, steady } = this.#parts;
    const names = await tokenNames(context.host, credentials);
    const entry = { key: `${domain.authPolicyHash} ${names.key}`, tokenHash: names.tokenHash };
    const known = cache.get(entry.key);
    if (known && (known.note || !context.fenced)) {
      metrics.tokenJudged("cache");
      return known;
    }
    // Who comes after a revocation does not join a question that was asked before it.
    const begun = cache.begin();
    const flight = `${context.fenced} ${begun} ${entry.key}`;
    return await this.#asking.run(flight, async () => {
      const untilMs = steady() + domain.tokenTtlMs;
      const judged = await this.#ask(domain, credentials, { ...context, names });
      cache.put(entry, judged, { begun, untilMs });
      return judged;
    });
  }

  async #ask(
    domain: TokenDomain,
    credentials: Credentials,
    { clientAddress, fenced, names }: TokenContext & { readonly names: TokenNames },
  ): Promise<JudgedIdentity> {
    const { metrics, questions } = this.#parts;
    const service = judgeApplicationService(domain.applicationServices, credentials, domain.serverName);
    metrics.tokenJudged(service ? "application_service" : "homeserver");
    const identify = (ask: () => Promise<Identity>) => this.#identify(domain, fenced ? names : undefined, ask);
    if (service) return await identify(async () => service);
    const asker = { serverName: domain.serverName, tokenHash: names.tokenHash, clientAddress };
    return await questions.judge(asker, () => identify(() => domain.homeserver.whoami(credentials, { clientAddress })));
  }

  /** Notes the names in the database, where they are given, before it asks. */
  async #identify(
    { serverName, authPolicyHash, tokenTtlMs }: TokenDomain,
    names: TokenNames | undefined,
    ask: () => Promise<Identity>,
  ): Promise<JudgedIdentity> {
    const { notes, clock } = this.#parts;
    const expiresAt = clock() + UNSETTLED_MS;
    const note = names && (await notes.note({ ...names, serverName, terms: authPolicyHash, expiresAt }));
    const askedMs = clock();
    try {
      return { ...(await ask()), note, expiresAt: askedMs + tokenTtlMs };
    } catch (error) {
      // Whoever tries tokens leaves no trace. What can't be taken back now expires soon.
      if (note) await notes.takeBack(note).catch(() => undefined);
      throw error;
    }
  }
}
