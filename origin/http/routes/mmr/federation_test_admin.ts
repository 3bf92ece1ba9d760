import type { FastifyRequest } from "fastify";
import { jsonAnswer } from "../../../../shared/http/respond.ts";
import { MatrixError } from "../../../../shared/matrix/matrix_error.ts";
import type { Tenant } from "../../../domains/tenant.ts";
import type { Diagnosis, Finding } from "../../../matrix/diagnose_server.ts";
import type { SigningIdentity } from "../../../matrix/signing_keys.ts";
import type { Authenticate } from "../../authenticate.ts";
import { writeAnswer } from "../../reply/write.ts";
import type { Route } from "../../server.ts";

/** What the federation test needs. */
export interface FederationTestRouteParts {
  readonly tenantOf: (request: FastifyRequest) => Tenant;
  readonly authenticate: Authenticate;
  readonly diagnoseServer: (
    serverName: string,
    signAs: SigningIdentity | undefined,
    signal: AbortSignal,
  ) => Promise<Diagnosis | undefined>;
}

/**
 * `GET /_matrix/media/unstable/admin/federation/test/{serverName}` (MMR, whose three fields come first): how another server is
 * found and what it answers, for administrators of the repository. A server that cannot be reached is an answer, not an error.
 */
export function federationTestRoutes(parts: FederationTestRouteParts): Route[] {
  return ["unstable", "unstable/io.t2bot.media"].map((version) => ({
    action: "federation_test",
    methods: ["GET"],
    path: `/_matrix/media/${version}/admin/federation/test/:serverName`,
    async handle(request, reply) {
      const tenant = parts.tenantOf(request);
      const { subject } = await parts.authenticate.user(request, tenant, "user");
      if (!subject.isRepositoryAdmin) throw new MatrixError("M_FORBIDDEN", "Only for administrators of the repository");
      const { signAs } = tenant.domain.federation;
      const diagnosis = await parts.diagnoseServer(serverNameOf(request), signAs, request.context.signal);
      if (!diagnosis) throw invalidName();
      writeAnswer(reply, jsonAnswer(bodyOf(diagnosis)));
    },
  }));
}

function bodyOf({ server, steps, targets, keys, ourKey }: Diagnosis): Record<string, unknown> {
  const best = targets.find(({ version }) => version.ok) ?? targets[0];
  const { hostHeader, tlsName } = server;
  return {
    base_url: best && `https://${best.target.host}:${best.target.port}`,
    hostname: hostHeader,
    versions_response: best?.version.ok ? best.version.value : null,
    reachable: best?.version.ok === true,
    resolved_by_step: server.step,
    tls_name: tlsName,
    discovery: steps.map(({ question, outcome, tookMs }) => ({ question, outcome, took_ms: tookMs })),
    targets: targets.map(({ target, version }) => ({
      host: target.host,
      port: target.port,
      ...told(version, (value) => ({ version: value })),
    })),
    server_keys: told(keys, ({ keyIds, validUntilMs }) => ({ key_ids: keyIds, valid_until_ts: validUntilMs })),
    our_key: told(ourKey, ({ keyId, accepted, answer }) => ({ key_id: keyId, accepted, answer })),
  };
}

function told<T>(finding: Finding<T>, tell: (value: T) => Record<string, unknown>): Record<string, unknown> {
  const { tookMs: took_ms } = finding;
  return finding.ok ? { ok: true, took_ms, ...tell(finding.value) } : { ok: false, took_ms, error: finding.reason };
}

function serverNameOf(request: FastifyRequest): string {
  try {
    return decodeURIComponent((request.params as { serverName: string }).serverName);
  } catch {
    throw invalidName();
  }
}

function invalidName(): MatrixError {
  return new MatrixError("M_INVALID_PARAM", "Cannot use this server name: it is not valid");
}
