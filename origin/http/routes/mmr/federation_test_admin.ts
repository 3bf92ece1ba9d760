import { jsonAnswer } from "../../../../shared/http/respond.ts";
import { type Diagnosis, diagnoseServer, type Finding } from "../../../matrix/diagnose_server.ts";
import { invalid, serverNamePath } from "../../request/paths.ts";
import { type Route, route } from "../../route.ts";
import type { Rooms } from "../rooms.ts";

/**
 * `GET /_matrix/media/unstable/admin/federation/test/{serverName}` (MMR, whose three fields come first): how another server is
 * found and what it answers, for administrators of the repository. A server that cannot be reached is an answer, not an error.
 */
export function federationTestRoutes({ federation, serverKeys, steady, makeMediaId }: Rooms): Route[] {
  const parts = { federation, serverKeys, steady, makeMediaId };
  return [
    route({
      method: "GET",
      path: ["unstable", "unstable/io.t2bot.media"].map(
        (version) => `/_matrix/media/${version}/admin/federation/test/:serverName`,
      ),
      action: "federation_test",
      access: "repository_admin",
      limit: "requests",
      params: serverNamePath,
      async handle({ domain, params: serverName, request: { signal } }) {
        const diagnosis = await diagnoseServer(parts, serverName, domain.federation.signAs, signal);
        if (!diagnosis) throw invalid("server name");
        return jsonAnswer(bodyOf(diagnosis));
      },
    }),
  ];
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
