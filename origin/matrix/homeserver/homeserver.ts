import type { Credentials } from "../../../shared/matrix/access_token.ts";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import type { SafeFetch } from "../../net/safe_fetch.ts";
import { Circuit, CircuitOpenError, type Judgement } from "../../platform/circuit.ts";
import type { Clock, SteadyClock } from "../../platform/clock.ts";
import { judgeError } from "../federation/federation_judgement.ts";
import { LEADS_BACK } from "../own_questions.ts";
import { HomeserverOutage, readAnswer, type UncheckedObject, UnusableAnswer } from "./homeserver_answer.ts";
import { isAbout, readVersions, readWhoAmI, type Versions, type WhoAmI } from "./homeserver_facts.ts";

/** Which API tells administrators apart (`homeservers[].adminApiKind`). */
export type AdminApiKind = "synapse" | "dendrite" | "matrix";

/** On whose behalf a question is asked, and for how long the answer is wanted. */
export interface Asker {
  /** Address of the client; the homeserver learns it as `X-Forwarded-For`. */
  clientAddress?: string | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * One homeserver, asked over its Client-Server API. Every method throws a MatrixError for the client: the homeserver's own
 * refusal with its code, status, `soft_logout` and waiting time; or 503 `M_UNKNOWN` with `Retry-After` if it gave none of
 * its answers. An outage is never a 401: clients would throw their sessions away.
 */
export interface Homeserver {
  /**
   * `GET /_matrix/client/v3/account/whoami`; an application service's `user_id` and `device_id` are passed on. An answer that
   * names a user of another server counts as an outage.
   */
  whoami(credentials: Credentials, asker?: Asker): Promise<WhoAmI>;
  /** `POST /_matrix/client/v3/logout` or `logout/all`. */
  logout(credentials: Credentials, options: Asker & { all: boolean }): Promise<void>;
  /** `GET /_matrix/client/versions`; with credentials the homeserver may tell more. */
  versions(credentials?: Credentials, asker?: Asker): Promise<Versions>;
  /** True if the homeserver lets the bearer, or whom it acts as, look at the sessions of a user that does not exist. */
  isServerAdmin(credentials: Credentials, kind: AdminApiKind, asker?: Asker): Promise<boolean>;
}

/** What `makeHomeserver` needs. */
export interface HomeserverParts {
  /** Base URL (`homeservers[].csApi`). */
  csApi: string;
  serverName: string;
  /** Failures in a row after which it is left alone for a while (`homeservers[].backoffAt`). */
  backoffAt: number;
  /** For one question, in milliseconds. */
  timeoutMs: number;
  safeFetch: SafeFetch;
  clock: Clock;
  steady: SteadyClock;
  /** Sent with every question, so that one that comes back to us is known (`own_questions.ts`). */
  marks?: Readonly<Record<string, string>>;
}

const MAX_ANSWER_BYTES = 262_144;
const OUTAGE_RETRY_MS = 2_000;

/** Makes the {@link Homeserver}; it keeps the circuit that leaves the homeserver alone when it is down. */
export function makeHomeserver(parts: HomeserverParts): Homeserver {
  const circuit = new Circuit({ failures: parts.backoffAt, clock: parts.steady });
  const base = parts.csApi.replace(/\/+$/, "");

  async function ask<T>(question: Question, check: (body: UncheckedObject) => T): Promise<T> {
    const once = async () => {
      const response = await parts.safeFetch(base + question.path, {
        method: question.method ?? "GET",
        headers: { ...headersOf(question), ...parts.marks },
        reach: "operator",
        timeoutMs: parts.timeoutMs,
        maxBytes: MAX_ANSWER_BYTES,
        ...(question.asker?.signal ? { signal: question.asker.signal } : {}),
      });
      return check(await readAnswer(response, parts.clock));
    };
    try {
      return await circuit.run(once, judge);
    } catch (error) {
      throw error instanceof MatrixError ? error : outage(error);
    }
  }

  return {
    whoami: (credentials, asker) =>
      ask({ path: `/_matrix/client/v3/account/whoami${assertedIdentity(credentials)}`, credentials, asker }, (body) =>
        readWhoAmI(body, parts.serverName),
      ),

    async logout(credentials, { all, ...asker }) {
      const path = `/_matrix/client/v3/logout${all ? "/all" : ""}${assertedIdentity(credentials)}`;
      await ask({ method: "POST", path, credentials, asker }, () => undefined);
    },

    versions: (credentials, asker) => ask({ path: "/_matrix/client/versions", credentials, asker }, readVersions),

    async isServerAdmin(credentials, kind, asker) {
      const nobody = `@media.repo.admin.check:${parts.serverName}`;
      const api = kind === "synapse" ? "/_synapse/admin/v1" : "/_matrix/client/v3/admin";
      const path = `${api}/whois/${encodeURIComponent(nobody)}${assertedIdentity(credentials)}`;
      try {
        return await ask({ path, credentials, asker }, (body) => isAbout(body, nobody));
      } catch (error) {
        if (error instanceof MatrixError && [400, 403, 404, 405].includes(error.status)) return false;
        throw error;
      }
    },
  };
}

interface Question {
  path: string;
  method?: string;
  credentials: Credentials | undefined;
  asker: Asker | undefined;
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
  if (error instanceof MatrixError) return error.mrErrcode === LEADS_BACK ? "nothing" : "alive";
  if (error instanceof UnusableAnswer) return "nothing";
  return error instanceof HomeserverOutage ? "down" : judgeError(error);
}

function outage(cause: unknown): MatrixError {
  const retryAfterMs = cause instanceof CircuitOpenError ? cause.retryAfterMs : OUTAGE_RETRY_MS;
  return new MatrixError("M_UNKNOWN", "The homeserver cannot be asked at the moment", {
    status: 503,
    retryAfterMs,
    cause,
  });
}
