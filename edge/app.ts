import { Router } from "itty-router";
import { toMatrixError } from "../shared/http/failure_answer.ts";
import { demandRequestLine } from "../shared/http/request_line.ts";
import { errorAnswer, preflightAnswer, toResponse } from "../shared/http/respond.ts";
import { MatrixError } from "../shared/matrix/matrix_error.ts";
import { FEDERATION_PREFIXES, MEDIA_PREFIXES } from "../shared/matrix/media_target.ts";
import { parseDescriptor } from "../shared/tiers/descriptor.ts";
import { parseDomainDocument } from "../shared/tiers/domain_policy.ts";
import { parseServerKeyDocument } from "../shared/tiers/server_key.ts";
import { parseVerdict } from "../shared/tiers/verdict.ts";
import { openBucket } from "./bucket.ts";
import { DocumentCache } from "./cache/document_cache.ts";
import type { KeepAlive } from "./cache/flight.ts";
import { makeSharedBodies } from "./cache/shared_bodies.ts";
import { makeJudge } from "./decide/auth.ts";
import { makeDecide } from "./decide/decide_media.ts";
import { makeFindDomain } from "./decide/domain.ts";
import { makeFindDescriptor } from "./decide/find_descriptor.ts";
import { makeJudgeServer } from "./decide/server_auth.ts";
import { makeFindViewer } from "./decide/viewer.ts";
import type { EdgeConfig } from "./env.ts";
import { makeOriginClient } from "./origin/origin_client.ts";
import { isReadable, routableUrl } from "./request_target.ts";
import { makeFederationRoute } from "./routes/federation.ts";
import { type Forward, makeForward } from "./routes/forward.ts";
import { makeMediaRoute } from "./routes/media.ts";
import { type Clock, makeSteadyClock } from "./steady_clock.ts";
import { makeVisit, type Visit } from "./visit.ts";

/** The edge: one request in, one answer out. Never throws. */
export interface EdgeApp {
  /** `keepAlive` is the `waitUntil` of the request's own context. */
  fetch(request: Request, keepAlive: KeepAlive): Promise<Response>;
}

/** What the runtime brings. */
export interface EdgeParts {
  readonly clock: Clock;
  readonly makeId: () => string;
}

type Handler = (visit: Visit) => Promise<Response>;

/** Builds the edge, once per isolate: the caches in it are shared by all requests and hold plain data only. */
export function buildApp(config: EdgeConfig, { clock, makeId }: EdgeParts): EdgeApp {
  const steady = makeSteadyClock(clock);
  const bucket = openBucket(config.bucket);
  const verdicts = new DocumentCache({ clock: steady, readText: bucket.readText, parse: parseVerdict });
  const descriptors = new DocumentCache({ clock: steady, readText: bucket.readText, parse: parseDescriptor });
  const { originUrl, hopSecret, originTimeoutMs: timeoutMs, trustConnectingIp } = config;
  const origin = makeOriginClient({ clock, originUrl, hopSecret, timeoutMs });
  const judge = makeJudge({ clock, steady, verdicts, origin });
  const findViewer = makeFindViewer({ judge, findDomain: makeFindDomain({ clock: steady, origin }) });
  const findDescriptor = makeFindDescriptor(descriptors);
  const decide = makeDecide({ findViewer, findDescriptor });
  const forward = makeForward(origin);
  const judgeServer = makeJudgeServer({
    clock,
    keys: new DocumentCache({ clock: steady, readText: bucket.readText, parse: parseServerKeyDocument }),
    domains: new DocumentCache({ clock: steady, readText: bucket.readText, parse: parseDomainDocument }),
  });
  const shareBody = makeSharedBodies(bucket);
  const router = makeRouter({
    media: makeMediaRoute({ decide, bucket, forward }),
    federation: makeFederationRoute({ clock: steady, judgeServer, findDescriptor, bucket, shareBody, forward }),
    forward,
  });

  return {
    async fetch(request, keepAlive) {
      const visit = makeVisit(request, keepAlive, { makeId, trustConnectingIp });
      return await router.fetch({ method: request.method, url: routableUrl(visit.target) }, visit);
    },
  };
}

function makeRouter({ media, federation, forward }: { media: Handler; federation: Handler; forward: Forward }) {
  const router = Router({
    before: [(_request, visit: Visit) => refuse(visit)],
    catch: (thrown, _request, visit: Visit) => answerError(thrown, visit),
  });
  const respond = (handler: Handler) => (_request: unknown, visit: Visit) => handler(visit);
  router.options("*", () => toResponse(preflightAnswer()));
  for (const prefix of [...MEDIA_PREFIXES.authenticated, ...MEDIA_PREFIXES.legacy]) {
    for (const kind of ["download", "thumbnail"]) {
      router.get(`${prefix}/${kind}/:ids+`, respond(media));
      router.head(`${prefix}/${kind}/:ids+`, respond(media));
    }
  }
  for (const prefix of FEDERATION_PREFIXES) {
    for (const kind of ["download", "thumbnail"]) router.get(`${prefix}/${kind}/:ids+`, respond(federation));
  }
  return router.all(
    "*",
    respond((visit) => forward(visit)),
  );
}

/** What no endpoint of either tier takes. */
function refuse({ request, target }: Visit): undefined {
  if (!isReadable(target) || hasTwoLengths(request)) {
    throw new MatrixError("M_UNKNOWN", "Cannot read the request", { status: 400 });
  }
  if (request.method !== "OPTIONS") demandRequestLine(request.method, target);
}

/** Of which the next server could believe the other (RFC 9112 §6.1). The origin's parser refuses them, too. */
function hasTwoLengths({ headers }: Request): boolean {
  return headers.has("transfer-encoding") && headers.has("content-length");
}

/** The one place of the edge where whatever was thrown becomes what the client sees. */
function answerError(thrown: unknown, visit: Visit): Response {
  // An unforeseen error is a bug: the runtime reports what `waitUntil` rejects with, and the client is told nothing of it.
  if (!(thrown instanceof MatrixError)) visit.keepAlive(Promise.reject(thrown));
  return toResponse(errorAnswer(toMatrixError(thrown)));
}
