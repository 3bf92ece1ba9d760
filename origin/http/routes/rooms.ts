import type { Access } from "../../access/access.ts";
import type { Federation } from "../../matrix/federation/federation.ts";
import type { ServerKeys } from "../../matrix/keys/server_keys.ts";
import type { MediaWork } from "../../media/media.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import type { MakeId } from "../../platform/ids.ts";
import type { Database } from "../../stores/db/database.ts";

/** The rooms that are asked for what routes answer. */
export interface Rooms {
  readonly access: Access;
  readonly media: MediaWork;
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
