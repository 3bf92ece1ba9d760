import { createHmac, timingSafeEqual } from "node:crypto";
import { Failure } from "../../shared/matrix/failure.ts";
import type { SteadyClock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";

/**
 * The header of what we ask of homeservers, by which we know our own question when it comes back. Not of those that the edge
 * keeps for itself (`mxcdn-`): it must pass through the edge.
 */
export const QUESTION_HEADER = "x-mxcdn-question";

/** What `mxcdn config check --probe` sends in that header: whoever is mxcdn says so. */
export const PROBE = "probe";

/** How an answer in Matrix form says that it is mxcdn's own, and no homeserver's (`mr_errcode`). */
export const LEADS_BACK = "M_LEADS_BACK";

/** One line a minute for each homeserver: clients ask for `versions` all the time. */
const SAY_AGAIN_MS = 60_000;

/** What {@link OwnQuestions} needs. */
export interface OwnQuestionsParts {
  /** The same in all processes that share a database; nobody else can make our marks without it. */
  readonly key: string;
  readonly clock: SteadyClock;
  readonly log: Log;
}

/**
 * Marks what we ask of homeservers, and refuses it where it comes back to us: where `csApi` is the public name, the reverse proxy
 * sends `versions` and `logout` to us again, and each of them would wait for itself.
 */
export class OwnQuestions {
  readonly #key: string;
  readonly #clock: SteadyClock;
  readonly #log: Log;
  readonly #saidMs = new Map<string, number>();

  constructor({ key, clock, log }: OwnQuestionsParts) {
    this.#key = key;
    this.#clock = clock;
    this.#log = log;
  }

  /** The header for questions to the homeserver of this server name. */
  headersFor(serverName: string): Readonly<Record<string, string>> {
    return { [QUESTION_HEADER]: `${this.#tag(serverName)} ${serverName}` };
  }

  /**
   * Looks at the header of a request. Throws `loop` where it is a question of our own, or a probe. A mark that is not ours is
   * another deployment's, whose homeserver may well be behind us, or a client's invention; neither means anything.
   */
  requireForeign(header: string | readonly string[] | undefined): void {
    if (typeof header !== "string") return;
    if (header === PROBE) throw leadsBack();
    const [tag = "", serverName = ""] = header.split(" ", 2);
    if (!equal(tag, this.#tag(serverName))) return;
    this.#say(serverName);
    throw leadsBack();
  }

  #tag(serverName: string): string {
    return createHmac("sha256", this.#key).update(`question to ${serverName}`).digest("base64url");
  }

  #say(serverName: string): void {
    const now = this.#clock();
    if (now - (this.#saidMs.get(serverName) ?? Number.NEGATIVE_INFINITY) < SAY_AGAIN_MS) return;
    this.#saidMs.set(serverName, now);
    this.#log.error(
      { key: "homeservers[].csApi", homeserver: serverName },
      `csApi of ${serverName} leads back to this media repository: set it to where the homeserver itself answers, such as http://synapse:8008`,
    );
  }
}

/** The failure of a question that came back, for whoever asked and for the client that waits for it. */
export function leadsBack(): Failure {
  const message =
    "The address of the homeserver (`csApi` in the configuration of this media repository) leads back to the repository itself";
  return new Failure("loop", message, { mrErrcode: LEADS_BACK });
}

function equal(one: string, other: string): boolean {
  return one.length === other.length && timingSafeEqual(Buffer.from(one, "latin1"), Buffer.from(other, "latin1"));
}
