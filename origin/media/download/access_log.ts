import { formatMxc, type Mxc } from "../../../shared/matrix/mxc.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import type { Database } from "../../stores/db/database.ts";
import { recordAccess } from "../../stores/db/tables/last_access.ts";

/** Remembers which media were read, until they are written down: see {@link makeAccessLog}. */
export interface AccessLog {
  /** Notes that a media is being read. Costs no query. */
  note(mxc: Mxc): void;
  /** Writes down what was noted. */
  flush(): Promise<void>;
}

const DAY_MS = 86_400_000;
/** What is noted at most between two flushes; the rest is noted the next time it is read. */
const MAX_NOTED = 20_000;
const PAGE = 1_000;

/** Last access, by the day and in batches: a download never waits for a write, and never causes one of its own. */
export function makeAccessLog(parts: { readonly db: Database; readonly clock: Clock; readonly log: Log }): AccessLog {
  let noted = new Map<string, Mxc>();
  return {
    note({ serverName, mediaId }) {
      if (noted.size < MAX_NOTED) noted.set(formatMxc({ serverName, mediaId }), { serverName, mediaId });
    },
    async flush() {
      const all = [...noted.values()];
      noted = new Map();
      const day = Math.floor(parts.clock() / DAY_MS);
      for (let from = 0; from < all.length; from += PAGE) {
        await recordAccess(parts.db, all.slice(from, from + PAGE), day).catch((error: unknown) =>
          parts.log.warn({ error }, "cannot note when media was read last"),
        );
      }
    },
  };
}
