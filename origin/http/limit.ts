import { isPart } from "../../shared/http/byte_range.ts";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import type { Asked, Limits } from "../access/limits/limits.ts";
import type { Counted } from "../access/limits/subject.ts";
import type { Subject } from "../access/subject.ts";
import type { RequestContext } from "./request/request_context.ts";
import type { Limited } from "./route.ts";

/**
 * How requests are counted (`access/limits`): each once, against who has sent it. One that says who it is from and cannot
 * show it counts against its address, which holds back those who guess tokens; nobody else answers for that, since many may share
 * an address.
 */

/**
 * What `authenticating` finds; that it is refused counts against the address. A token that the homeserver knows to have been
 * somebody's (`soft_logout`) is no guess: whole crowds come with one that has expired a moment ago.
 */
export async function countingFailures<T>(
  limits: Pick<Limits, "countFailure">,
  address: string | undefined,
  authenticating: Promise<T>,
): Promise<T> {
  try {
    return await authenticating;
  } catch (error) {
    const isGuess = error instanceof MatrixError && error.status === 401 && error.extra.soft_logout !== true;
    if (isGuess) await limits.countFailure(address);
    throw error;
  }
}

/** As whom a request is counted. Repository administrators are exempt: they could as well change the limits. */
export function countedAs(request: RequestContext, subject: Subject): Counted {
  if (subject.kind === "anonymous") return { kind: "address", address: request.clientAddress };
  return { kind: "user", userId: subject.userId, exempt: subject.isRepositoryAdmin || subject.isUnlimited === true };
}

/** So many ranges of one media count as one request for it: a player that is scrubbed, a download over many connections. */
const RANGES_PER_REQUEST = 32;

const SIZE = ["width", "height", "method", "animated"];

/**
 * What counts as the same thing: the path and, for a thumbnail, which one of the media it is. A range is a small part of a request for
 * it, so that all ranges of a download are about one; what they hold is charged in bytes, and each is a request among all others.
 */
export function whatIsAsked(request: RequestContext, limit: Exclude<Limited, "none">): Asked {
  const { path, query } = request;
  if (limit === "thumbnail")
    return { what: `${path}?${SIZE.map((name) => query.get(name) ?? "").join("&")}`, weight: 1 };
  const isRange = limit === "download" && request.method === "GET" && isPart(request.header("range"));
  return { what: path, weight: isRange ? 1 / RANGES_PER_REQUEST : 1 };
}
