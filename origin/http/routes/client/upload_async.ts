import { jsonAnswer } from "../../../../shared/http/respond.ts";
import type { CompleteUpload } from "../../../media/upload/complete.ts";
import { writeAnswer } from "../../reply/write.ts";
import type { Route } from "../../server.ts";
import { mxcOf } from "../mmr/purge.ts";
import { type UploadingParts, uploadRequestOf } from "./upload.ts";

/** What the route of asynchronous uploads needs. */
export interface UploadAsyncRouteParts extends UploadingParts {
  readonly complete: CompleteUpload;
}

const PREFIXES = ["/_matrix/media/v3", "/_matrix/media/unstable/fi.mau.msc2246"];

/** `PUT /_matrix/media/v3/upload/{serverName}/{mediaId}` (Client-Server API; MSC2246, its unstable name too): fills a reserved id. */
export function uploadAsyncRoutes(parts: UploadAsyncRouteParts): Route[] {
  return PREFIXES.map((prefix) => ({
    action: "upload_async",
    methods: ["PUT"],
    path: `${prefix}/upload/:serverName/:mediaId`,
    async handle(request, reply) {
      const tenant = parts.tenantOf(request);
      const { subject } = await parts.authenticate.user(request, tenant, "user");
      await parts.complete(mxcOf(request), uploadRequestOf(request, tenant.domain, subject.userId, parts.bodyIdleMs));
      writeAnswer(reply, jsonAnswer({}));
    },
  }));
}
