import type { Logouts } from "../../access/tokens/logout.ts";
import type { GiveVerdict } from "../../access/tokens/verdict.ts";
import type { ClientVersions } from "../../domains/client_versions.ts";
import type { Diagnosis } from "../../matrix/diagnose_server.ts";
import type { SigningIdentity } from "../../matrix/signing_keys.ts";
import type { Download } from "../../media/download/download.ts";
import type { Info } from "../../media/info.ts";
import type { LocalCopy } from "../../media/local_copy.ts";
import type { Purge } from "../../media/purge.ts";
import type { FindOrMakeThumbnail } from "../../media/thumbnail/thumbnail.ts";
import type { CompleteUpload } from "../../media/upload/complete.ts";
import type { CreateUpload } from "../../media/upload/create.ts";
import type { Upload } from "../../media/upload/upload.ts";

/** What the handlers of routes may ask of the rest of the house. */
export interface Rooms {
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
  readonly logouts: Logouts;
  /** What the edge asks; absent where there is no edge. */
  readonly giveVerdict: GiveVerdict | undefined;
  readonly clientVersions: ClientVersions;
  readonly diagnoseServer: (
    serverName: string,
    signAs: SigningIdentity | undefined,
    signal: AbortSignal,
  ) => Promise<Diagnosis | undefined>;
  /** What a user keeps here. */
  readonly usageOf: (userId: string) => Promise<{ readonly bytes: number; readonly files: number }>;
  /** Throws where the database cannot be reached. */
  readonly checkDatabase: () => Promise<void>;
  /** The ids of datastores that are not there. */
  readonly missingDatastores: () => readonly string[];
  readonly build: { readonly version: string; readonly commit: string };
}
