import { type Answer, jsonAnswer } from "../../../shared/http/respond.ts";
import type { ServedDomain } from "../../../shared/tiers/domain_policy.ts";
import { HOP_PATHS } from "../../../shared/tiers/hop.ts";
import { VERDICT_SCOPE_HEADER } from "../../../shared/tiers/verdict.ts";
import { type Route, route } from "../route.ts";
import type { Rooms } from "./rooms.ts";

/** What our edge asks for itself. Its clients are counted when it comes for more. */
export function edgeRoutes({ access }: Rooms): Route[] {
  if (!access.issuesVerdicts) return [];
  return [
    // What a token is worth that it does not know.
    route({
      method: "POST",
      path: HOP_PATHS.verdict,
      action: "edge_verdict",
      access: "edge",
      limit: "none",
      async handle({ domain, request }) {
        const { verdict, scope } = await access.issueVerdict(request, domain);
        return unstored(verdict, { [VERDICT_SCOPE_HEADER]: scope });
      },
    }),
    // Before it answers somebody without a token: whose the host is, and how media is served there. The refusal of a host that
    // nobody serves is the one that a client gets.
    route({
      method: "GET",
      path: HOP_PATHS.domain,
      action: "edge_domain",
      access: "edge",
      limit: "none",
      handle({ domain }) {
        const served: ServedDomain = { v: 1, server_name: domain.serverName, policy: domain.policy };
        return unstored(served);
      },
    }),
  ];
}

function unstored(value: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  const answer = jsonAnswer(value);
  Object.assign(answer.headers, headers, { "cache-control": "no-store" });
  return answer;
}
