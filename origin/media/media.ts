import * as z from "zod";
import { formatMxc, type Mxc, parseMxc } from "../../shared/matrix/mxc.ts";
import type { Access } from "../access/access.ts";
import type { LiveConfig } from "../config/files/live_config.ts";
import type { Domains } from "../domains/domains.ts";
import type { Imager } from "../imaging/imager.ts";
import type { Claim } from "../platform/fair_queue.ts";
import type { MakeId } from "../platform/ids.ts";
import type { Closing } from "../platform/lifetime.ts";
import { FreshCache } from "../platform/ttl.ts";
import type { Publishing } from "../publish/publishing.ts";
import { type Bus, textChannel } from "../stores/db/bus.ts";
import type { Queryable } from "../stores/db/database.ts";
import { findMedia, type Media } from "../stores/db/tables/media.ts";
import type { Thumbnail } from "../stores/db/tables/thumbnails.ts";
import type { Datastores } from "../stores/objects/datastores.ts";
import { type AccessLog, makeAccessLog } from "./download/access_log.ts";
import { arrivalOf, makeAwaitPending } from "./download/await_pending.ts";
import { type Download, makeDownload } from "./download/download.ts";
import { makeFindArriving, makeFindVisible } from "./download/find_servable.ts";
import { makeLocalFile } from "./download/local_file.ts";
import { LostMedia } from "./download/lost_media.ts";
import { type Info, makeInfo } from "./info.ts";
import { type LocalCopy, makeLocalCopy } from "./local_copy.ts";
import { makePurge, type Purge } from "./purge.ts";
import { openPulling, type PullingWorld } from "./remote/pulling.ts";
import { rememberBroken } from "./thumbnail/broken_pictures.ts";
import { makeGenerate } from "./thumbnail/generate.ts";
import { type FindOrMakeThumbnail, makeThumbnails } from "./thumbnail/thumbnail.ts";
import { UnstoredThumbnails } from "./thumbnail/unstored_thumbnails.ts";
import { type CompleteUpload, makeCompleteUpload } from "./upload/complete.ts";
import { type CreateUpload, makeCreateUpload } from "./upload/create.ts";
import { makeReceive } from "./upload/receive.ts";
import { makeStoreOnce } from "./upload/store_once.ts";
import { makeUpload, type Upload } from "./upload/upload.ts";

/** What the service is for: uploads, downloads, thumbnails, media of other servers, and their removal. */

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

/** What it is done with. */
export interface MediaWorld extends PullingWorld {
  readonly bus: Bus;
  readonly datastores: Datastores;
  readonly imager: Imager;
  /** Absent where there is no edge. */
  readonly edge: Publishing | undefined;
  readonly live: LiveConfig;
  readonly domains: Domains;
  readonly access: Access;
  readonly makeMediaId: MakeId;
  /** For temporary files, where a datastore's own folder cannot be written. */
  readonly scratchFolder: string;
}

/** What a test may set. */
export interface MediaOptions {
  /** How many requests may wait for asynchronous uploads. */
  readonly maxWaiting?: number | undefined;
  /** How often an asynchronous upload, or a fetch by another process, that is waited for is looked for, in milliseconds, beside being notified of it. */
  readonly recheckMs?: number | undefined;
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

/** Opens it. What is to be closed is handed to `closing`. */
export async function openMedia(world: MediaWorld, closing: Closing, options: MediaOptions = {}): Promise<MediaWork> {
  const { db, bus, clock, steady, log, metrics, imager, makeMediaId, makeTemporaryId, scratchFolder } = world;
  const { config, edge, live, domains } = world;
  const { limits, quotas } = world.access;
  const datastores = (id: string) => world.datastores.find(id);
  const publish = edge?.publish;

  // Coming in.
  const storeOnce = makeStoreOnce({ db, clock, log, datastores });
  const receive = makeReceive({ makeTemporaryId, storeOnce, quotas });
  const announce = (tx: Queryable, mxc: Mxc) => bus.send(UPLOADED, arrivalOf(mxc), tx);
  const awaitPending = makeAwaitPending({
    ...{ db, clock, log, metrics },
    maxWaiting: options.maxWaiting ?? MAX_WAITING,
    recheckMs: options.recheckMs ?? RECHECK_MS,
  });
  closing.push(await bus.listen(UPLOADED, { onNews: awaitPending.arrived, onReconnect: awaitPending.lookAgain }));
  const findHere = async (mxc: Mxc) => {
    const found = await findMedia(db, mxc);
    return found && datastores(found.blob.datastoreId) ? found : undefined;
  };
  const pulling = await openPulling(world, { limits, storeOnce, findHere, recheckMs: options.recheckMs });
  closing.push(() => pulling.close());
  const { pullRemote } = pulling;

  // Being looked for.
  const mediaRows = new FreshCache<Media>({ clock: steady, ttlMs: ROW_MS, max: MAX_ROWS });
  closing.push(
    await bus.listen(CHANGED, { onNews: (uri) => mediaRows.forget(uri), onReconnect: () => mediaRows.clear() }),
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
    await bus.send(CHANGED, formatMxc(mxc));
  };
  const lostMedia = new LostMedia({
    ...{ db, clock, log, isOurs, datastores, rows: mediaRows, forgetRow, hasEdge: edge !== undefined },
    fetch: (mxc, request) => pullRemote.whole(mxc, request),
  });
  const bringLocal = makeLocalFile({ datastores, makeId: makeTemporaryId });

  // Going out.
  const accessLog = makeAccessLog({ db, clock, log });
  closing.push(() => accessLog.flush());
  const unstored = new UnstoredThumbnails({ clock, steady, log, metrics });
  const takeTurn = (claim: Claim) => imager.queueEntry(claim);
  const generate = makeGenerate({
    ...{ db, clock, datastores, bringLocal, imager, storeOnce, unstored, makeTemporaryId, scratchFolder },
    metrics,
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
