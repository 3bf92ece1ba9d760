import type { KnownObject } from "../../objects/datastore.ts";
import type { Queryable } from "../database.ts";

/** The identity of the place that is a datastore's; `undefined`: none was taken for it so far. */
export async function findIdentity(db: Queryable, datastoreId: string): Promise<string | undefined> {
  const { rows } = await db.query<{ identity: string }>(
    "SELECT identity FROM datastore_identities WHERE datastore_id = $1",
    [datastoreId],
  );
  return rows[0]?.identity;
}

/** Records another identity in place of `old`. Returns the one that counts: another process may have been faster. */
export async function replaceIdentity(
  db: Queryable,
  datastoreId: string,
  { old, identity }: { readonly old: string | undefined; readonly identity: string },
): Promise<string> {
  await db.query(
    `INSERT INTO datastore_identities AS known (datastore_id, identity) VALUES ($1, $2)
     ON CONFLICT (datastore_id) DO UPDATE SET identity = excluded.identity WHERE known.identity = $3`,
    [datastoreId, identity, old ?? null],
  );
  return (await findIdentity(db, datastoreId)) ?? identity;
}

/** Up to `limit` objects that must lie in a datastore, of whatever age: they are taken in the order of their hashes. */
export async function someObjects(db: Queryable, datastoreId: string, limit: number): Promise<KnownObject[]> {
  const { rows } = await db.query<{ location: string; size: number }>(
    "SELECT location, size FROM blobs WHERE datastore_id = $1 ORDER BY location LIMIT $2",
    [datastoreId, limit],
  );
  return rows;
}
