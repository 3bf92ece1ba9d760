import type { Credentials } from "../../../shared/matrix/access_token.ts";
import { Failure, isFailure } from "../../../shared/matrix/failure.ts";
import { isRefusal, isUnauthenticated, MatrixError } from "../../../shared/matrix/matrix_error.ts";
import type { SafeFetch } from "../../net/safe_fetch.ts";
import { Circuit, CircuitOpenError, type Judgement } from "../../platform/circuit.ts";
import type { Clock, SteadyClock } from "../../platform/clock.ts";
import { judgePeer } from "../peer_failure.ts";
import { HomeserverOutage, readAnswer, type UncheckedObject, UnusableAnswer } from "./homeserver_answer.ts";
import { isAbout, readVersions, readWhoAmI, type Versions, type WhoAmI } from "./homeserver_facts.ts";

/** Which API tells administrators apart (`homeservers[].adminApiKind`). */
export type AdminApiKind = "synapse" | "dendrite" | "matrix";

/** On whose behalf a question is asked, and for how long the answer is wanted. */
export interface Asker {
  /** Address of the client; the homeserver learns it as `X-Forwarded-For`. */
  readonly clientAddress?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Which homeserver, and what it is asked with. */
export interface HomeserverParts {
  /** Base URL (`homeservers[].csApi`). */
  readonly csApi: string;
  readonly serverName: string;
  /** Failures in a row after which it is left alone for a while (`homeservers[].backoffAt`). */
  readonly backoffAt: number;
  /** For one question, in milliseconds. */
  readonly timeoutMs: number;
  readonly safeFetch: SafeFetch;
  readonly clock: Clock;
  readonly steady: SteadyClock;
  /** Sent with every question, so that one that comes back to us is known (`own_questions.ts`). */
  readonly marks?: Readonly<Record<string, string>>;
}

const MAX_ANSWER_BYTES = 262_144;
const OUTAGE_RETRY_MS = 2_000;
/**
 * One homeserver, asked over its Client-Server API, with the circuit breaker that leaves it alone while it is down.
 *
 * Errors of all methods: the homeserver's own refusal, as a `MatrixError` with its code, status, `soft_logout` and waiting time;
 * `unavailable` if it gave none of its answers; `loop` where `csApi` leads back to us. An outage is never a 401: clients would
 * throw their sessions away.
 */
export class Homeserver {
  readonly #parts: HomeserverParts;
  readonly #base: string;
  readonly #circuit: Circuit;

  constructor(parts: HomeserverParts) {
    this.#parts = parts;
    this.#base = parts.csApi.replace(/\/+$/, "");
    this.#circuit = new Circuit({ failures: parts.backoffAt, clock: parts.steady });
  }

  /**
   * `GET /_matrix/client/v3/account/whoami`; an application service's `user_id` and `device_id` are passed on. An answer that
   * names a user of another server counts as an outage.
   */
  async whoami(credentials: Credentials, asker?: Asker): Promise<WhoAmI> {
    const path = `/_matrix/client/v3/account/whoami${assertedIdentity(credentials)}`;
    return await this.#ask({ path, credentials, asker }, (body) => readWhoAmI(body, this.#parts.serverName));
  }

  /** `POST /_matrix/client/v3/logout` or `logout/all`. */
  async logout(credentials: Credentials, { all, ...asker }: Asker & { readonly all: boolean }): Promise<void> {
    const path = `/_matrix/client/v3/logout${all ? "/all" : ""}${assertedIdentity(credentials)}`;
    await this.#ask({ method: "POST", path, credentials, asker }, () => undefined);
  }

  /** `GET /_matrix/client/versions`; with credentials the homeserver may tell more. */
  async versions(credentials?: Credentials, asker?: Asker): Promise<Versions> {
    return await this.#ask({ path: "/_matrix/client/versions", credentials, asker }, readVersions);
  }

  /** True if the homeserver lets the bearer, or whom it acts as, look at the sessions of a user that does not exist. */
  async isServerAdmin(credentials: Credentials, kind: AdminApiKind, asker?: Asker): Promise<boolean> {
    const nobody = `@media.repo.admin.check:${this.#parts.serverName}`;
    const api = kind === "synapse" ? "/_synapse/admin/v1" : "/_matrix/client/v3/admin";
    const path = `${api}/whois/${encodeURIComponent(nobody)}${assertedIdentity(credentials)}`;
    try {
      return await this.#ask({ path, credentials, asker }, (body) => isAbout(body, nobody));
    } catch (error) {
      // Any other refusal says of a valid token that its bearer is no administrator, or that the endpoint is not known there.
      const isLimit = error instanceof MatrixError && error.errcode === "M_LIMIT_EXCEEDED";
      if (isRefusal(error) && !isLimit && !isUnauthenticated(error)) return false;
      throw error;
    }
  }

  async #ask<T>(question: Question, check: (body: UncheckedObject) => T): Promise<T> {
    const { safeFetch, clock, timeoutMs, marks } = this.#parts;
    const once = async () => {
      const response = await safeFetch(this.#base + question.path, {
        method: question.method ?? "GET",
        headers: { ...headersOf(question), ...marks },
        reach: "operator",
        timeoutMs,
        maxBytes: MAX_ANSWER_BYTES,
        ...(question.asker?.signal ? { signal: question.asker.signal } : {}),
      });
      return check(await readAnswer(response, clock));
    };
    try {
      return await this.#circuit.run(once, judge);
    } catch (error) {
      throw error instanceof MatrixError || isFailure(error, "loop") ? error : outage(error);
    }
  }
}

interface Question {
  readonly path: string;
  readonly method?: string;
  readonly credentials: Credentials | undefined;
  readonly asker: Asker | undefined;
}

function headersOf({ credentials, asker }: Question): Record<string, string> {
  return {
    accept: "application/json",
    ...(credentials ? { authorization: `Bearer ${credentials.token}` } : {}),
    ...(asker?.clientAddress === undefined ? {} : { "x-forwarded-for": asker.clientAddress }),
  };
}

/** The identity that an application service asserts (Application Service API, "Identity assertion"); devices are stable since 1.17. */
function assertedIdentity({ userId, deviceId }: Credentials): string {
  const query = new URLSearchParams();
  if (userId !== undefined) query.set("user_id", userId);
  if (deviceId !== undefined) {
    query.set("device_id", deviceId);
    query.set("org.matrix.msc3202.device_id", deviceId);
  }
  return query.size === 0 ? "" : `?${query}`;
}

/**
 * The homeserver is down only by what it did to anybody, or did not do in time: what one question brings about, or what we asked
 * ourselves, says nothing of it.
 */
function judge(error: unknown): Judgement {
  if (error instanceof MatrixError) return "alive";
  if (error instanceof UnusableAnswer || isFailure(error, "loop")) return "nothing";
  return error instanceof HomeserverOutage ? "down" : judgePeer(error);
}

function outage(cause: unknown): Failure {
  const retryAfterMs = cause instanceof CircuitOpenError ? cause.retryAfterMs : OUTAGE_RETRY_MS;
  return new Failure("unavailable", "The homeserver cannot be asked at the moment", { retryAfterMs, cause });
}
