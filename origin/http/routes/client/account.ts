import { jsonAnswer } from "../../../../shared/http/respond.ts";
import { MatrixError } from "../../../../shared/matrix/matrix_error.ts";
import { ClientVersions } from "../../../domains/client_versions.ts";
import { findUsage } from "../../../stores/db/tables/usage.ts";
import { type Route, route } from "../../route.ts";
import type { Rooms } from "../rooms.ts";

/** What a client asks about its user, its session and the service. */
export function accountRoutes({ access, db, steady }: Rooms): Route[] {
  const clientVersions = new ClientVersions({ access, clock: steady });
  return [
    // The size up to which uploads are taken, and what the user may store in all (MSC4034), in bytes and files; each left out
    // where there is no limit.
    route({
      method: "GET",
      path: ["/_matrix/client/v1/media/config", "/_matrix/media/r0/config", "/_matrix/media/v3/config"],
      action: "config",
      access: "user",
      limit: "requests",
      handle({ domain, requester }) {
        const { maxBytes, reportedMaxBytes } = domain.uploads;
        const quota = access.quotas.of(domain, requester.userId);
        const limits = {
          "m.upload.size": reportedMaxBytes === 0 ? maxBytes : reportedMaxBytes,
          "m.storage.size": quota.maxBytes,
          "m.storage.max_files": quota.maxFiles,
          "org.matrix.msc4034.storage.size": quota.maxBytes,
          "org.matrix.msc4034.storage.max_files": quota.maxFiles,
        };
        return jsonAnswer(Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit > 0)));
      },
    }),
    usage("/_matrix/media/v3/usage", "m.storage"),
    usage("/_matrix/media/unstable/org.matrix.msc4034/usage", "org.matrix.msc4034.storage"),
    logout("logout", false),
    logout("logout_all", true),
    // What the homeserver says, with what this service brings (Client-Server API, "API Versions"). A token is passed on to the
    // homeserver, which may say more with one (1.10).
    route({
      method: "GET",
      path: "/_matrix/client/versions",
      action: "client_versions",
      access: "none",
      limit: "requests",
      async handle({ domain, request }) {
        return jsonAnswer(await clientVersions.of(domain, request));
      },
    }),
  ];

  /** How many bytes and files the user keeps here (MSC4034), counted as if nothing were deduplicated. */
  function usage(path: string, prefix: string): Route {
    return route({
      method: "GET",
      path,
      action: "usage",
      access: "user",
      limit: "requests",
      async handle({ requester }) {
        const { bytes, files } = await findUsage(db, requester.userId);
        return jsonAnswer({ [`${prefix}.used`]: bytes, [`${prefix}.files`]: files });
      },
    });
  }

  /**
   * A logout is passed on to the homeserver. When the answer leaves, the token (or every token of the user) is void at both tiers;
   * also where the homeserver no longer knows it.
   *
   * Whether a session may be ended is for the homeserver to say: it lets those out whose account is locked or whose token has
   * expired, who may do nothing else.
   */
  function logout(action: "logout" | "logout_all", all: boolean): Route {
    return route({
      method: "POST",
      path: ["r0", "v3"].map((version) => `/_matrix/client/${version}/logout${all ? "/all" : ""}`),
      action,
      access: "token",
      limit: "requests",
      async handle({ domain, credentials, judged, request: { clientAddress } }) {
        await access.logouts.logout({
          ...{ serverName: domain.serverName, credentials, all, clientAddress },
          whose: judged instanceof MatrixError ? { refusal: judged } : { userId: judged.userId },
          endSessions: () => domain.homeserver.logout(credentials, { all, clientAddress }),
        });
        return jsonAnswer({});
      },
    });
  }
}
