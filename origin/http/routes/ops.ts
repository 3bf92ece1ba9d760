import { readFileSync } from "node:fs";
import { jsonAnswer } from "../../../shared/http/respond.ts";
import { type Route, route } from "../route.ts";
import type { Rooms } from "./rooms.ts";

/** What operators and their tools ask, with any host and without a token. */
export function opsRoutes({ db, datastores }: Rooms): Route[] {
  const version = readVersion();
  return [
    // 200 while the process can reach its database, 503 otherwise. That a datastore is not there is said, and is no reason to
    // send nobody here any more: what lies elsewhere, also at the edge, is still served.
    route({
      method: ["GET", "HEAD"],
      path: "/healthz",
      action: "healthz",
      access: "none",
      limit: "none",
      async handle() {
        const well = await db.query("SELECT 1").then(
          () => true,
          () => false,
        );
        if (!well) return jsonAnswer({ ok: false, status: "no database" }, 503);
        const missing = datastores.missing();
        const said = missing.length === 0 ? { status: "ready" } : { status: "degraded", missing_datastores: missing };
        return jsonAnswer({ ok: true, ...said });
      },
    }),
    // Which build answers (MMR).
    route({
      method: "GET",
      path: "/_matrix/media/version",
      action: "get_version",
      access: "none",
      limit: "requests",
      handle: () => jsonAnswer({ Version: version, GitCommit: "unknown", unstable_features: {} }),
    }),
  ];
}

function readVersion(): string {
  const manifest = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}
