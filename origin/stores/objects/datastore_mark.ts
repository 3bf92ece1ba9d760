/** Says that a database keeps its bodies in a datastore: an object there, named after the database. */
export interface DatastoreMark {
  readonly databaseId: string;
  /** Of the object, for whoever is to remove it by hand. */
  readonly name: string;
  /** When it was put there, by the datastore's own time, in milliseconds; infinity where that is not known. */
  readonly sinceMs: number;
}

/** Where marks lie. No body and no document of an edge bucket begins like this. */
export const MARKS = ".mxcdn/";

const DATABASE_ID = /^[0-9a-f]{32}$/;

/** The name of a database's mark. Throws when `databaseId` cannot be part of one. */
export function markName(databaseId: string): string {
  if (!DATABASE_ID.test(databaseId)) throw new Error(`Cannot mark a datastore with "${databaseId}"`);
  return `${MARKS}${databaseId}`;
}

/** Reads the name of a mark; `undefined` for anything else. */
export function parseMark(name: string, sinceMs: number): DatastoreMark | undefined {
  const databaseId = name.startsWith(MARKS) ? name.slice(MARKS.length) : "";
  return DATABASE_ID.test(databaseId) ? { databaseId, name, sinceMs } : undefined;
}

/** What stands in a mark, for whoever comes across it. */
export function markText(databaseId: string): string {
  return `The mxcdn database ${databaseId} keeps its media here.
Remove this mark only once that database is gone for good. Where there are marks of several
databases, none of them removes objects that it does not know.
`;
}
