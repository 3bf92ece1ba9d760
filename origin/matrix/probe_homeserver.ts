import { FetchError } from "../net/fetch_error.ts";
import { Net } from "../net/net.ts";
import type { SafeFetch } from "../net/safe_fetch.ts";
import { LEADS_BACK, PROBE, QUESTION_HEADER } from "./own_questions.ts";

/** Finds out whether an address is that of the homeserver that is meant, without a token: for whoever writes a configuration. */

/** A homeserver of the configuration. */
export interface Claim {
  readonly serverName: string;
  /** Without a slash at its end. */
  readonly csApi: string;
}

/** What was found. `question` is the method and path that gave it away. */
export type Finding =
  | { readonly kind: "meant" }
  /** mxcdn itself answers. */
  | { readonly kind: "leads_back"; readonly question: string }
  | {
      readonly kind: "no_homeserver";
      readonly question: string;
      readonly status: number;
      readonly isJson: boolean;
    }
  /** The homeserver of another server name. */
  | { readonly kind: "another"; readonly serverName: string }
  | { readonly kind: "unreachable"; readonly failure: FetchError["failure"]; readonly error: FetchError };

/** How long each question is given, in milliseconds. */
export const PROBE_MS = 10_000;
const MAX_ANSWER_BYTES = 262_144;
const MAX_NAME = 255;
/** No homeserver gives such a token, so that no question has an effect. */
const NO_TOKEN = "mxcdn_config_check_probe";

/** Asks all of them at the same time. The findings come in their order; whatever is answered is one. */
export async function probeHomeservers(claims: readonly Claim[]): Promise<Finding[]> {
  const net = new Net({ networks: { allowedNetworks: [], disallowedNetworks: [] }, homeserverConnections: 4 });
  try {
    return await Promise.all(claims.map((claim) => probe(claim, net.homeserverFetch)));
  } finally {
    await net.close();
  }
}

const VERSIONS = "GET /_matrix/client/versions";
/** A reverse proxy may send some of them to mxcdn, and others to the homeserver. */
const WITH_TOKEN = ["GET /_matrix/client/v3/account/whoami", "POST /_matrix/client/v3/logout"];
/** Many homeservers answer it at the same address, and it says their name. */
const KEYS = "GET /_matrix/key/v2/server";

async function probe({ serverName, csApi }: Claim, safeFetch: SafeFetch): Promise<Finding> {
  const ask = (question: string, token?: string) => askOne(safeFetch, csApi, question, token);
  try {
    const versions = await ask(VERSIONS);
    const found = judge(VERSIONS, versions, versions.status === 200 && Array.isArray(versions.body?.versions));
    if (found) return found;
    for (const question of WITH_TOKEN) {
      const heard = await ask(question, NO_TOKEN);
      const trouble = judge(question, heard, refusesToken(heard));
      if (trouble) return trouble;
    }
    const name = (await ask(KEYS)).body?.server_name;
    if (typeof name !== "string" || name === serverName) return { kind: "meant" };
    return { kind: "another", serverName: name.slice(0, MAX_NAME) };
  } catch (error) {
    if (error instanceof FetchError) return { kind: "unreachable", failure: error.failure, error };
    throw error;
  }
}

interface Heard {
  readonly status: number;
  /** `undefined`: no JSON object. */
  readonly body: Readonly<Record<string, unknown>> | undefined;
}

async function askOne(safeFetch: SafeFetch, csApi: string, question: string, token?: string): Promise<Heard> {
  const [method = "", path = ""] = question.split(" ", 2);
  const response = await safeFetch(csApi + path, {
    method,
    headers: {
      accept: "application/json",
      [QUESTION_HEADER]: PROBE,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    reach: "operator",
    timeoutMs: PROBE_MS,
    maxBytes: MAX_ANSWER_BYTES,
  });
  return { status: response.status, body: readObject(await response.text()) };
}

function readObject(text: string): Heard["body"] {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** `undefined` where the answer is a homeserver's. */
function judge(question: string, { status, body }: Heard, isAnswer: boolean): Finding | undefined {
  if (status === 508 && body?.mr_errcode === LEADS_BACK) return { kind: "leads_back", question };
  return isAnswer ? undefined : { kind: "no_homeserver", question, status, isJson: body !== undefined };
}

/** A homeserver that is asked too often says 429. */
function refusesToken({ status, body }: Heard): boolean {
  return (status === 401 || status === 429) && typeof body?.errcode === "string";
}
