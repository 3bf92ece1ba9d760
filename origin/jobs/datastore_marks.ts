import type { Log } from "../platform/log.ts";
import type { Database } from "../stores/db/database.ts";
import { databaseId } from "../stores/db/tables/identity.ts";
import type { Datastore } from "../stores/objects/datastore.ts";

/**
 * Since when every object that comes into a datastore is this database's, in milliseconds of the datastore's own time.
 * `undefined`: another database keeps bodies there too, and which objects are whose cannot be told; the log says so.
 */
export type OwnedSince = (datastore: Datastore) => Promise<number | undefined>;

/**
 * Tells databases that share a datastore apart: each leaves a mark there, so that none takes the bodies of another for left-
 * overs of its own. (It happens when somebody goes from the embedded database to a server, or loses the one that there was,
 * and keeps the folder of media.) What lay there before our mark may be anybody's.
 */
export function makeOwnedSince({ db, log }: { readonly db: Database; readonly log: Log }): OwnedSince {
  return async function ownedSince(datastore) {
    const own = await databaseId(db);
    const isOwn = (mark: { readonly databaseId: string }) => mark.databaseId === own;
    let marks = await datastore.marks();
    if (!marks.some(isOwn)) {
      await datastore.mark(own);
      marks = await datastore.marks();
    }
    const others = marks.filter((mark) => !isOwn(mark)).map((mark) => mark.name);
    if (others.length === 0) return marks.find(isOwn)?.sinceMs;
    log.error(
      { datastore: datastore.id, database: own, others },
      "another database keeps media in this datastore too, so nothing is swept there: if it is gone for good, remove its mark",
    );
    return undefined;
  };
}

/** What {@link makeMarkDatastores} needs. */
export interface MarkParts {
  readonly log: Log;
  readonly ownedSince: OwnedSince;
  /** Asked anew at each run: a changed configuration may have added some. */
  readonly datastores: () => readonly Datastore[];
}

/**
 * Marks each datastore soon after it is first used: long before any other database would take our objects for old ones. One
 * that cannot be marked (a read-only folder) is tried again; until then nothing is swept there.
 */
export function makeMarkDatastores(parts: MarkParts): (signal: AbortSignal) => Promise<void> {
  const marked = new Set<Datastore>();
  const complainedOf = new Set<Datastore>();

  return async function markDatastores(signal) {
    for (const datastore of parts.datastores()) {
      if (signal.aborted) return;
      if (!marked.has(datastore)) await mark(datastore);
    }
  };

  async function mark(datastore: Datastore): Promise<void> {
    try {
      await parts.ownedSince(datastore);
      marked.add(datastore);
    } catch (error) {
      if (!complainedOf.has(datastore)) {
        parts.log.warn({ datastore: datastore.id, error }, "cannot mark a datastore as ours yet; trying again");
      }
      complainedOf.add(datastore);
    }
  }
}
