import * as z from "zod";
import { formatMxc, type Mxc, parseMxc } from "../shared/matrix/mxc.ts";
import type { Access } from "./access/access.ts";
import type { Base } from "./app_base.ts";
import { makePulling } from "./app_federation.ts";
import type { LiveConfig } from "./config/files/live_config.ts";
import type { Domains } from "./domains/domains.ts";
import type { Federation } from "./matrix/federation/federation.ts";
import { type AccessLog, makeAccessLog } from "./media/download/access_log.ts";
import { arrivalOf, makeAwaitPending } from "./media/download/await_pending.ts";
import { type Download, makeDownload } from "./media/download/download.ts";
import { makeFindArriving, makeFindVisible } from "./media/download/find_servable.ts";
import { makeLocalFile } from "./media/download/local_file.ts";
import { LostMedia } from "./media/download/lost_media.ts";
import { type Info, makeInfo } from "./media/info.ts";
import { type LocalCopy, makeLocalCopy } from "./media/local_copy.ts";
import { makePurge, type Purge } from "./media/purge.ts";
import { rememberBroken } from "./media/thumbnail/broken_pictures.ts";
import { makeGenerate } from "./media/thumbnail/generate.ts";
import { type FindOrMakeThumbnail, makeThumbnails } from "./media/thumbnail/thumbnail.ts";
import { UnstoredThumbnails } from "./media/thumbnail/unstored_thumbnails.ts";
import { type CompleteUpload, makeCompleteUpload } from "./media/upload/complete.ts";
import { type CreateUpload, makeCreateUpload } from "./media/upload/create.ts";
import { makeReceive } from "./media/upload/receive.ts";
import { makeStoreOnce } from "./media/upload/store_once.ts";
import { makeUpload, type Upload } from "./media/upload/upload.ts";
import type { Claim } from "./platform/fair_queue.ts";
import { FreshCache } from "./platform/ttl.ts";
import type { Publishing } from "./publish/publishing.ts";
import { textChannel } from "./stores/db/bus.ts";
import type { Queryable } from "./stores/db/database.ts";
import { findMedia, type Media } from "./stores/db/tables/media.ts";
import type { Thumbnail } from "./stores/db/tables/thumbnails.ts";

/** The part of `app.ts` that does what the service is for. */

/** What can be done with media. */
export interface MediaWork {
  readonly upload: Upload;
  readonly create: CreateUpload;
  readonly complete: CompleteUpload;
  readonly download: Download;
  readonly thumbnail: FindOrMakeThumbnail;
  readonly info: Info;
  readonly localCopy: LocalCopy;
  readonly purge: Purge;
  readonly accessLog: AccessLog;
  /** Answers whoever waits for an upload, now and from now on: they would hold up the end. */
  letGo(): Promise<void>;
}

/** What making it needs beside the base. */
export interface MediaWorkParts {
  readonly edge: Publishing | undefined;
  readonly live: LiveConfig;
  readonly domains: Domains;
  readonly access: Access;
  readonly federation: Federation;
}

const URI = z.string().refine((text) => parseMxc(text) !== undefined, "no mxc URI");
/** Whose row is not what it was. */
const CHANGED = textChannel("mxcdn_changed", URI);
/** Whose bytes have come. */
const UPLOADED = textChannel("mxcdn_uploaded", URI);
/** As long as the edge believes what it has read. */
const ROW_MS = 2_000;
const MAX_ROWS = 10_000;
const MAX_WAITING = 2_000;
const RECHECK_MS = 10_000;
const THUMBNAIL_MS = 60_000;
/** A store that does not answer shall not keep a thumbnail, which is there, from whoever waits for it. */
const STORE_THUMBNAIL_MS = 10_000;

/** Makes uploads, downloads, thumbnails and what belongs to them. */
export async function makeMediaWork(base: Base, parts: MediaWorkParts): Promise<MediaWork> {
  const { config, overrides, closers, clock, steady, log, db } = base;
  const { imager, makeMediaId, makeTemporaryId, scratchFolder } = base;
  const { edge, live, domains, federation } = parts;
  const { limits, quotas } = parts.access;
  const datastores = base.findDatastore;
  const { publish } = edge ?? {};

  // Coming in.
  const storeOnce = makeStoreOnce({ db, clock, log, datastores });
  const receive = makeReceive({ makeTemporaryId, storeOnce, quotas });
  const announce = (tx: Queryable, mxc: Mxc) => base.bus.send(UPLOADED, arrivalOf(mxc), tx);
  const awaitPending = makeAwaitPending({
    ...{ db, clock, log, metrics: base.metrics },
    maxWaiting: overrides.maxWaiting ?? MAX_WAITING,
    recheckMs: overrides.recheckMs ?? RECHECK_MS,
  });
  closers.push(await base.bus.listen(UPLOADED, { onNews: awaitPending.arrived, onReconnect: awaitPending.lookAgain }));
  const pulling = await makePulling(base, { limits, storeOnce, federation });
  closers.push(() => pulling.close());
  const { pullRemote } = pulling;

  // Being looked for.
  const mediaRows = new FreshCache<Media>({ clock: steady, ttlMs: ROW_MS, max: MAX_ROWS });
  closers.push(
    await base.bus.listen(CHANGED, { onNews: (uri) => mediaRows.forget(uri), onReconnect: () => mediaRows.clear() }),
  );
  const ignored = new Set(config.federation.ignoredHosts.map((name) => name.toLowerCase()));
  const isOurs = (serverName: string) => domains.withName(serverName) !== undefined;
  const visibility = {
    findMedia: (mxc: Mxc) => mediaRows.get(formatMxc(mxc), () => findMedia(db, mxc)),
    awaitPending: awaitPending.wait,
    pullRemote,
    isOurs,
    isIgnored: (serverName: string) => ignored.has(serverName.toLowerCase()),
    freezeNewMedia: () => live.now.repo.freezeUnauthenticatedMedia,
  };
  const findVisible = makeFindVisible(visibility);
  const forgetRow = async (mxc: Mxc) => {
    mediaRows.forget(formatMxc(mxc));
    await base.bus.send(CHANGED, formatMxc(mxc));
  };
  const lostMedia = new LostMedia({ db, clock, log, isOurs, rows: mediaRows, forgetRow, hasEdge: edge !== undefined });
  const bringLocal = makeLocalFile({ datastores, makeId: makeTemporaryId });

  // Going out.
  const accessLog = makeAccessLog({ db, clock, log });
  closers.push(() => accessLog.flush());
  const unstored = new UnstoredThumbnails({ clock, steady, log, metrics: base.metrics });
  const takeTurn = (claim: Claim) => imager.queueEntry(claim);
  const generate = makeGenerate({
    ...{ db, clock, datastores, bringLocal, imager, storeOnce, unstored, makeTemporaryId, scratchFolder },
    metrics: base.metrics,
    deadlineMs: THUMBNAIL_MS,
    storeMs: STORE_THUMBNAIL_MS,
  });
  const rows = new FreshCache<Thumbnail>({ clock: steady, ttlMs: ROW_MS, max: MAX_ROWS });
  const findArriving = makeFindArriving(visibility);

  return {
    upload: makeUpload({ clock, makeMediaId, receive }),
    create: makeCreateUpload({ db, clock, makeMediaId, quotas }),
    complete: makeCompleteUpload({ db, clock, receive, announce }),
    download: makeDownload({ findVisible, findArriving, datastores, lostMedia, publish, accessLog }),
    thumbnail: makeThumbnails({
      ...{ db, clock, rows, findVisible, datastores, lostMedia, publish, unstored, takeTurn },
      generate: rememberBroken(generate, { clock: steady }),
      deadlineMs: THUMBNAIL_MS,
    }),
    info: makeInfo({
      ...{ db, findVisible, lostMedia, bringLocal, takeTurn, scratchFolder },
      probe: (...look: Parameters<typeof imager.probe>) => imager.probe(...look),
      deadlineMs: THUMBNAIL_MS,
    }),
    localCopy: makeLocalCopy({ db, clock, makeMediaId, findVisible, quotas }),
    purge: makePurge({ db, clock, forget: forgetRow, edge: edge?.outbox }),
    accessLog,
    letGo: async () => awaitPending.close(),
  };
}
