import { normaliseContentType, normaliseFileName } from "../../../shared/http/content_headers.ts";
import type { Mxc } from "../../../shared/matrix/mxc.ts";
import type { Quotas } from "../../access/limits/quotas.ts";
import type { Domain } from "../../domains/domain.ts";
import type { MakeId } from "../../platform/ids.ts";
import { timeout } from "../../platform/time.ts";
import type { Queryable } from "../../stores/db/database.ts";
import type { NewMedia } from "../../stores/db/tables/media.ts";
import { admit, requireEnough } from "./admit.ts";
import { type Ingested, ingest, MemoryShare } from "./ingest.ts";
import type { StoreOnce } from "./store_once.ts";

/** A file that a user sends us. */
export interface UploadRequest {
  readonly domain: Domain;
  readonly userId: string;
  readonly body: AsyncIterable<Uint8Array>;
  readonly declaredBytes: number | undefined;
  readonly contentType: string | undefined;
  readonly fileName: string | undefined;
  readonly signal: AbortSignal;
}

/** What {@link makeReceive} needs. */
export interface ReceiveParts {
  readonly makeTemporaryId: MakeId;
  readonly quotas: Quotas;
  readonly storeOnce: StoreOnce;
}

/**
 * How long a body that was received may take to be stored, in milliseconds. Its sender hears nothing meanwhile, and must have an
 * answer before the server takes the connection for dead.
 */
const STORE_MS = 150_000;

/** Memory for all small bodies that arrive at the same time, in bytes: for a hundred or so. */
const SMALL_BODIES_BYTES = 32 * 1024 * 1024;

/** Takes the bytes of an upload in: see {@link makeReceive}. `record` writes the rows that point at them. */
export type Receive = <T>(
  request: UploadRequest,
  record: (tx: Queryable, received: Ingested) => Promise<T>,
) => Promise<T>;

/**
 * What every upload has in common, in its order: may it begin; take the bytes in, counting and hashing them; were they as
 * many as allowed; store them once; then, in one transaction, whatever `record` writes, if that is within the quota. Nothing
 * is left of one that fails.
 */
export function makeReceive(parts: ReceiveParts): Receive {
  const memory = new MemoryShare(SMALL_BODIES_BYTES);
  return async function receive(request, record) {
    const { domain, userId, declaredBytes, signal } = request;
    admit(domain.uploads, declaredBytes);
    await parts.quotas.admitUpload(domain, userId, declaredBytes ?? 0);
    const datastore = await domain.datastoreFor("local_media");
    const received = await ingest(request.body, {
      folder: datastore.stagingFolder,
      isFlushed: datastore.isFlushed === true,
      makeId: parts.makeTemporaryId,
      maxBytes: domain.uploads.maxBytes,
      declaredBytes,
      memory,
      signal,
    });
    try {
      requireEnough(domain.uploads.minBytes, received.size);
      if (declaredBytes === undefined) await parts.quotas.admitUpload(domain, userId, received.size);
      return await parts.storeOnce(received, {
        datastore: async () => datastore,
        signal: timeout(STORE_MS, signal),
        async record(tx) {
          const recorded = await record(tx, received);
          await parts.quotas.requireWithin(tx, domain, userId);
          return recorded;
        },
      });
    } finally {
      await received.dispose();
    }
  };
}

/** The media that an upload becomes. */
export function uploadedMedia(mxc: Mxc, request: UploadRequest, received: Ingested, createdAt: number): NewMedia {
  return {
    ...mxc,
    sha256: received.sha256,
    contentType: normaliseContentType(request.contentType),
    uploadName: normaliseFileName(request.fileName),
    userId: request.userId,
    createdAt,
    frozen: request.domain.freezeNewMedia,
  };
}
