import type { FastifyRequest } from "fastify";
import { jsonAnswer } from "../../../../shared/http/respond.ts";
import { formatMxc } from "../../../../shared/matrix/mxc.ts";
import type { Domain } from "../../../domains/domain.ts";
import type { Tenant } from "../../../domains/tenant.ts";
import type { UploadRequest } from "../../../media/upload/receive.ts";
import type { Upload } from "../../../media/upload/upload.ts";
import type { Authenticate } from "../../authenticate.ts";
import { writeAnswer } from "../../reply/write.ts";
import { bodyOf, declaredBytesOf } from "../../request/request_body.ts";
import { queryOf } from "../../request/request_context.ts";
import type { Route } from "../../server.ts";

/** What every route that takes bytes in needs. `bodyIdleMs`: how long a body may stand still, in milliseconds. */
export interface UploadingParts {
  readonly tenantOf: (request: FastifyRequest) => Tenant;
  readonly authenticate: Authenticate;
  readonly bodyIdleMs: number;
}

/** What the upload route needs. */
export interface UploadRouteParts extends UploadingParts {
  readonly upload: Upload;
}

/** `POST /_matrix/media/v3/upload` (Client-Server API) and its aliases. */
export function uploadRoutes(parts: UploadRouteParts): Route[] {
  return ["r0", "v1", "v3"].map((version) => ({
    action: "upload",
    methods: ["POST"],
    path: `/_matrix/media/${version}/upload`,
    async handle(request, reply) {
      const tenant = parts.tenantOf(request);
      const { subject } = await parts.authenticate.user(request, tenant, "user");
      const mxc = await parts.upload(uploadRequestOf(request, tenant.domain, subject.userId, parts.bodyIdleMs));
      writeAnswer(reply, jsonAnswer({ content_uri: formatMxc(mxc) }));
    },
  }));
}

/** What a request brings that uploads a file. */
export function uploadRequestOf(
  request: FastifyRequest,
  domain: Domain,
  userId: string,
  idleMs: number,
): UploadRequest {
  return {
    domain,
    userId,
    body: bodyOf(request, idleMs),
    declaredBytes: declaredBytesOf(request),
    contentType: request.context.contentType,
    fileName: queryOf(request).get("filename") ?? undefined,
    signal: request.context.signal,
  };
}
