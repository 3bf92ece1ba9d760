import * as z from "zod";
import { jsonAnswer } from "../../../../shared/http/respond.ts";
import { formatMxc } from "../../../../shared/matrix/mxc.ts";
import type { User } from "../../../access/subject.ts";
import type { Domain } from "../../../domains/domain.ts";
import type { UploadRequest } from "../../../media/upload/receive.ts";
import { mxcPath } from "../../request/paths.ts";
import { type ByteBody, byteBody, jsonBody } from "../../request/request_body.ts";
import { type Route, route } from "../../route.ts";
import type { Rooms } from "../rooms.ts";

/** Uploads (Client-Server API, "Content repository"), at once or in two steps (MSC2246, its unstable name too). */
export function uploadRoutes({ media }: Rooms): Route[] {
  return [
    route({
      method: "POST",
      path: ["/_matrix/media/r0/upload", "/_matrix/media/v1/upload", "/_matrix/media/v3/upload"],
      action: "upload",
      access: "user",
      limit: "requests",
      query: fileNameOf,
      body: byteBody,
      async handle(call) {
        return jsonAnswer({ content_uri: formatMxc(await media.upload(uploadOf(call))) });
      },
    }),
    // The body means nothing yet: it may be absent or empty, and the keys of an object are ignored.
    route({
      method: "POST",
      path: ["/_matrix/media/v1/create", "/_matrix/media/unstable/fi.mau.msc2246/create"],
      action: "create",
      access: "user",
      limit: "requests",
      body: jsonBody(z.looseObject({})),
      async handle({ domain, requester }) {
        const { mxc, expiresAt } = await media.create(domain, requester.userId);
        return jsonAnswer({ content_uri: formatMxc(mxc), unused_expires_at: expiresAt });
      },
    }),
    route({
      method: "PUT",
      path: [
        "/_matrix/media/v3/upload/:serverName/:mediaId",
        "/_matrix/media/unstable/fi.mau.msc2246/upload/:serverName/:mediaId",
      ],
      action: "upload_async",
      access: "user",
      limit: "requests",
      params: mxcPath,
      query: fileNameOf,
      body: byteBody,
      async handle(call) {
        await media.complete(call.params, uploadOf(call));
        return jsonAnswer({});
      },
    }),
  ];
}

function fileNameOf(query: URLSearchParams): string | undefined {
  return query.get("filename") ?? undefined;
}

function uploadOf(call: {
  readonly domain: Domain;
  readonly requester: User;
  readonly query: string | undefined;
  readonly body: ByteBody;
  readonly request: { readonly signal: AbortSignal };
}): UploadRequest {
  const { bytes, declaredBytes, contentType } = call.body;
  return {
    domain: call.domain,
    userId: call.requester.userId,
    body: bytes,
    declaredBytes,
    contentType,
    fileName: call.query,
    signal: call.request.signal,
  };
}
