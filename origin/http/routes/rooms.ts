import type { Access } from "../../access/access.ts";
import type { Federation } from "../../matrix/federation/federation.ts";
import type { ServerKeys } from "../../matrix/keys/server_keys.ts";
import type { Download } from "../../media/download/download.ts";
import type { Info } from "../../media/info.ts";
import type { LocalCopy } from "../../media/local_copy.ts";
import type { Purge } from "../../media/purge.ts";
import type { FindOrMakeThumbnail } from "../../media/thumbnail/thumbnail.ts";
import type { CompleteUpload } from "../../media/upload/complete.ts";
import type { CreateUpload } from "../../media/upload/create.ts";
import type { Upload } from "../../media/upload/upload.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import type { MakeId } from "../../platform/ids.ts";
import type { Database } from "../../stores/db/database.ts";

/** The rooms that are asked for what routes answer. */
export interface Rooms {
  readonly access: Access;
  readonly media: {
    readonly upload: Upload;
    readonly create: CreateUpload;
    readonly complete: CompleteUpload;
    readonly download: Download;
    readonly thumbnail: FindOrMakeThumbnail;
    readonly info: Info;
    readonly localCopy: LocalCopy;
    readonly purge: Purge;
  };
  readonly federation: Federation;
  readonly serverKeys: ServerKeys;
  readonly db: Database;
  readonly datastores: {
    /** The ids of those that are not there. */
    missing(): readonly string[];
  };
  readonly steady: SteadyClock;
  readonly makeMediaId: MakeId;
}
