import { jsonAnswer } from "../../../../shared/http/respond.ts";
import { writeAnswer } from "../../reply/write.ts";
import type { Route } from "../../server.ts";

/** What {@link healthRoutes} needs. */
export interface HealthParts {
  /** Throws where the database cannot be reached. */
  readonly check: () => Promise<void>;
  /** The ids of datastores that are not there. */
  readonly missingDatastores: () => readonly string[];
}

/**
 * `GET /healthz`: 200 while the process can reach its database, 503 otherwise. Asked for with any host. That a datastore is not
 * there is said, and is no reason to send nobody here any more: what lies elsewhere, also at the edge, is still served.
 */
export function healthRoutes(parts: HealthParts): Route[] {
  return [
    {
      action: "healthz",
      methods: ["GET", "HEAD"],
      path: "/healthz",
      async handle(_request, reply) {
        const well = await parts.check().then(
          () => true,
          () => false,
        );
        if (!well) return writeAnswer(reply, jsonAnswer({ ok: false, status: "no database" }, 503));
        const missing = parts.missingDatastores();
        const said = missing.length === 0 ? { status: "ready" } : { status: "degraded", missing_datastores: missing };
        writeAnswer(reply, jsonAnswer({ ok: true, ...said }, 200));
      },
    },
  ];
}
