import { jsonAnswer } from "../../../shared/respond.ts";
import type { Route } from "../server.ts";
import { writeAnswer } from "../write.ts";

/** `GET /healthz`: 200 while the process can reach its database, 503 otherwise. Asked for with any host. */
export function healthRoutes(parts: { readonly check: () => Promise<void> }): Route[] {
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
        writeAnswer(reply, jsonAnswer({ ok: well, status: well ? "ready" : "no database" }, well ? 200 : 503));
      },
    },
  ];
}
