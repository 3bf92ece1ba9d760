import { jsonAnswer } from "../../../../shared/http/respond.ts";
import { writeAnswer } from "../../reply/write.ts";
import type { Route } from "../../server.ts";

/** `GET /_matrix/media/version` (MMR): which build answers. Asked for with any host and without a token. */
export function versionRoutes(build: { readonly version: string; readonly commit: string }): Route[] {
  return [
    {
      action: "get_version",
      methods: ["GET"],
      path: "/_matrix/media/version",
      async handle(_request, reply) {
        writeAnswer(reply, jsonAnswer({ Version: build.version, GitCommit: build.commit, unstable_features: {} }));
      },
    },
  ];
}
