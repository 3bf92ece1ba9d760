import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeOwnedSince } from "../../../origin/jobs/datastore_marks.ts";
import { makeSweepOrphans, type SweepParts } from "../../../origin/jobs/sweep_orphans.ts";
import { type Log, silentLog } from "../../../origin/platform/log.ts";
import type { Database } from "../../../origin/stores/db/database.ts";
import { insertBlob } from "../../../origin/stores/db/tables/blobs.ts";
import { nextGeneration } from "../../../origin/stores/db/tables/generations.ts";
import type { Datastore } from "../../../origin/stores/objects/datastore.ts";
import { makeFileDatastore } from "../../../origin/stores/objects/file.ts";
import { type NamedBody, parseObjectName } from "../../../origin/stores/objects/object_name.ts";
import type { Lifetime } from "../../support/lifetime.ts";
import { sha256 } from "./rows.ts";

const DAY_MS = 86_400_000;

/** A line of the log that an operator should see. */
export interface Complaint {
  readonly message: string;
  readonly details: Record<string, unknown>;
}

/** A log that keeps its warnings and errors. */
export function complaintsLog(): { readonly log: Log; readonly complaints: Complaint[] } {
  const complaints: Complaint[] = [];
  const complain = (details: object, message: string) => {
    complaints.push({ message, details: details as Record<string, unknown> });
  };
  const log = { ...silentLog, warn: complain, error: complain } as unknown as Log;
  return { log, complaints };
}

/** A folder as a datastore. */
export async function openFolder(lifetime: Lifetime): Promise<{ readonly folder: string; readonly store: Datastore }> {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-sweep-"));
  lifetime.after(() => rm(folder, { recursive: true, force: true }));
  return { folder, store: makeFileDatastore({ id: "files", folder }) };
}

/** Lets a file look so many days old. */
export async function age(path: string, days: number): Promise<void> {
  const at = new Date(Date.now() - days * DAY_MS);
  await utimes(path, at, at);
}

/** Lets `db` mark the store, as of three days ago. Returns the name of its mark. */
export async function markAs(db: Database, { folder, store }: { folder: string; store: Datastore }): Promise<string> {
  const { log } = complaintsLog();
  const before = new Set((await store.marks()).map((mark) => mark.name));
  await makeOwnedSince({ db, log })(store);
  const [mine] = (await store.marks()).filter((mark) => !before.has(mark.name));
  if (!mine) throw new Error("it was marked already");
  await age(join(folder, mine.name), 3);
  return mine.name;
}

/** Puts an object of this database's naming, two days ago unless said otherwise. Without a row it is an orphan. */
export async function putObject(
  db: Database,
  store: Datastore,
  options: { row?: "files" | "other"; days?: number; ahead?: number } = {},
): Promise<string> {
  const text = randomBytes(8).toString("hex");
  const generation = (await nextGeneration(db)) + (options.ahead ?? 0);
  const blob = { sha256: sha256(text), size: text.length, generation, createdAt: Date.now() };
  const location = store.locationFor(blob.sha256, generation);
  await mkdir(store.stagingFolder, { recursive: true });
  const path = join(store.stagingFolder, `${text}.part`);
  await writeFile(path, text);
  await store.put(location, { path, size: blob.size, sha256: blob.sha256 }, new AbortController().signal);
  await rm(path);
  await age(store.localPath?.(location) ?? "", options.days ?? 2);
  const { row } = options;
  if (row) await db.transaction((tx) => insertBlob(tx, { ...blob, datastoreId: row, location }));
  return location;
}

/** Gives an object a row after all. */
export async function addRow(db: Database, location: string): Promise<void> {
  const name = parseObjectName(location) as NamedBody;
  await db.transaction((tx) => insertBlob(tx, { ...name, size: 1, datastoreId: "files", location, createdAt: 1 }));
}

/** So many objects, one after the other. */
export async function putMany(count: number, put: () => Promise<string>): Promise<string[]> {
  const locations: string[] = [];
  for (let n = 0; n < count; n += 1) locations.push(await put());
  return locations;
}

/** What a datastore holds, in the order of names. */
export async function locationsIn(store: Datastore): Promise<string[]> {
  const locations: string[] = [];
  for await (const { location } of store.list()) locations.push(location);
  return locations.sort();
}

/** The sweeper of a database and these datastores, with what it complains of. */
export function sweeperOf(
  db: Database,
  stores: readonly Datastore[],
  more: Partial<SweepParts> = {},
): { complaints: Complaint[]; sweep(signal?: AbortSignal): Promise<number> } {
  const { log, complaints } = complaintsLog();
  const sweep = makeSweepOrphans({
    ...{ db, log, ownedSince: makeOwnedSince({ db, log }), clock: Date.now, minAgeMs: DAY_MS },
    datastores: () => stores,
    ...more,
  });
  return { complaints, sweep: (signal = new AbortController().signal) => sweep(signal) };
}
