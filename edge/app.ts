import { Router } from "itty-router";
import { toMatrixError } from "../shared/http/failure_answer.ts";
import { requireRequestLine } from "../shared/http/request_line.ts";
import { errorAnswer, preflightAnswer, toResponse } from "../shared/http/respond.ts";
import { isFailure } from "../shared/matrix/failure.ts";
import { MatrixError } from "../shared/matrix/matrix_error.ts";
import { FEDERATION_PREFIXES, MEDIA_PREFIXES } from "../shared/matrix/media_target.ts";
import { parseDomainDocument } from "../shared/tiers/domain_policy.ts";
import { parseServerKeyDocument } from "../shared/tiers/server_key.ts";
import { parseVerdict } from "../shared/tiers/verdict.ts";
import { openBucket } from "./bucket.ts";
import { DocumentCache } from "./cache/document_cache.ts";
import type { KeepAlive } from "./cache/flight.ts";
import { SharedBodies } from "./cache/shared_bodies.ts";
import { parseDescriptorAt } from "./decide/descriptor.ts";
import { Domains } from "./decide/domain.ts";
import { MediaDecision } from "./decide/media.ts";
import { RemoteServers } from "./decide/server.ts";
import { Tokens } from "./decide/token.ts";
import type { EdgeConfig } from "./env.ts";
import { OriginClient } from "./origin/client.ts";
import { EdgeRequest, isReadable, routableUrl } from "./request.ts";
import { makeFederationRoute } from "./routes/federation.ts";
import { type Forward, makeForward } from "./routes/forward.ts";
import { makeMediaRoute } from "./routes/media.ts";
import { type Clock, makeSteadyClock } from "./steady_clock.ts";

/** The edge, built once per isolate, and its routes. */

/** What the runtime brings. */
export interface EdgeAppOptions {
  readonly clock: Clock;
  readonly makeId: () => string;
}

type Handler = (request: EdgeRequest) => Promise<Response>;

/** One request in, one answer out. The caches in it are shared by all requests of the isolate and hold plain data only. */
export class EdgeApp {
  readonly #router: ReturnType<typeof makeRouter>;
  readonly #requestOptions: { readonly makeId: () => string; readonly trustConnectingIp: boolean };

  constructor(config: EdgeConfig, { clock, makeId }: EdgeAppOptions) {
    const { originUrl, hopSecret, originTimeoutMs: timeoutMs, trustConnectingIp } = config;
    const steady = makeSteadyClock(clock);
    const bucket = openBucket(config.bucket);
    const documents = <V extends object>(parse: (text: string, key: string) => V | undefined) =>
      new DocumentCache<V>({ clock: steady, readText: bucket.readText, parse });
    const origin = new OriginClient({ clock, originUrl, hopSecret, timeoutMs });
    const tokens = new Tokens({ clock, steady, verdicts: documents(parseVerdict), origin });
    const domains = new Domains(steady, origin);
    const keys = documents(parseServerKeyDocument);
    const servers = new RemoteServers({ clock, keys, domains: documents(parseDomainDocument) });
    const descriptors = documents(parseDescriptorAt);
    const decision = new MediaDecision({ tokens, domains, descriptors });
    const bodies = new SharedBodies(bucket);
    const forward = makeForward(origin);
    const media = makeMediaRoute({ decision, bucket, forward });
    const federation = makeFederationRoute({ clock: steady, servers, descriptors, bucket, bodies, forward });
    this.#router = makeRouter({ media, federation, forward });
    this.#requestOptions = { makeId, trustConnectingIp };
  }

  /** Never throws. `keepAlive` is the `waitUntil` of the request's own context. */
  async fetch(request: Request, keepAlive: KeepAlive): Promise<Response> {
    const edgeRequest = new EdgeRequest(request, keepAlive, this.#requestOptions);
    return await this.#router.fetch({ method: request.method, url: routableUrl(edgeRequest.target) }, edgeRequest);
  }
}

function makeRouter({ media, federation, forward }: { media: Handler; federation: Handler; forward: Forward }) {
  const router = Router({
    before: [(_request, request: EdgeRequest) => requireReadable(request)],
    catch: (thrown, _request, request: EdgeRequest) => answerError(thrown, request),
  });
  const respond = (handler: Handler) => (_request: unknown, request: EdgeRequest) => handler(request);
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
    respond((request) => forward(request)),
  );
}

/** Errors: 400, 405 and 414 for a request that no endpoint of either tier takes. */
function requireReadable({ request, target }: EdgeRequest): undefined {
  if (!isReadable(target) || hasTwoLengths(request)) {
    throw new MatrixError("M_UNKNOWN", "Cannot read the request", { status: 400 });
  }
  if (request.method !== "OPTIONS") requireRequestLine(request.method, target);
}

/** The next server could believe the other length (RFC 9112 §6.1). The origin's parser refuses such requests, too. */
function hasTwoLengths({ headers }: Request): boolean {
  return headers.has("transfer-encoding") && headers.has("content-length");
}

/** The one place of the edge where whatever was thrown becomes the answer that the client sees. */
function answerError(thrown: unknown, request: EdgeRequest): Response {
  // An unforeseen error is a bug: the runtime reports what `waitUntil` rejects with, and the client is told nothing of it.
  if (!(thrown instanceof MatrixError || isFailure(thrown))) request.keepAlive(Promise.reject(thrown));
  return toResponse(errorAnswer(toMatrixError(thrown)));
}
