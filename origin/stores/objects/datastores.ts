import { isDeepStrictEqual } from "node:util";
import type { SteadyClock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import { sleep } from "../../platform/time.ts";
import { Estimate } from "../../platform/ttl.ts";
import type { Queryable } from "../db/database.ts";
import { bytesByDatastore } from "../db/tables/blobs.ts";
import type { Datastore } from "./datastore.ts";
import { makeFileDatastore } from "./file.ts";
import { guardDatastore } from "./guarded.ts";
import { makePickDatastore } from "./pick.ts";
import { Presence } from "./presence.ts";
import { makeS3Datastore, type S3DatastoreOptions } from "./s3.ts";
import { cannotStore } from "./store_trouble.ts";

/** A datastore of the configuration. `place`: the same for two ways to say one place. */
export type DatastoreSettings = { readonly id: string; readonly place: string } & (
  | { readonly type: "file"; readonly opts: { readonly path: string; readonly fsync?: boolean } }
  | { readonly type: "s3"; readonly opts: Omit<S3DatastoreOptions, "id"> }
);

/** What {@link Datastores} stand on. */
export interface DatastoresParts {
  readonly db: Queryable;
  readonly steady: SteadyClock;
  readonly log: Log;
  readonly metrics: { datastorePresent(id: string, isPresent: 0 | 1): void };
}

/** What a domain says of a datastore: which kinds of objects it takes. */
export interface DatastoreChoice<K extends string> {
  readonly id: string;
  readonly forKinds: readonly (K | "all")[];
}

interface Opened {
  readonly store: Datastore;
  readonly presence: Presence;
  readonly settings: DatastoreSettings;
}

/** For how long it is remembered how full each datastore is: reading it reads a whole table. */
const ESTIMATE_MS = 10 * 60_000;

/** Every datastore that is open, by id. They follow the configuration as it changes. */
export class Datastores {
  readonly #parts: DatastoresParts;
  readonly #opened = new Map<string, Opened>();
  readonly #replaced: Datastore[] = [];
  readonly #bytes: Estimate<ReadonlyMap<string, number>>;

  /** Opens each once. Throws where one cannot be opened. */
  constructor(settings: Iterable<DatastoreSettings>, parts: DatastoresParts) {
    this.#parts = parts;
    this.#bytes = new Estimate<ReadonlyMap<string, number>>({
      ...{ clock: parts.steady, ttlMs: ESTIMATE_MS, fallback: new Map() },
      ask: () => bytesByDatastore(parts.db),
      onError: (error) => parts.log.warn({ error }, "datastore sizes unknown"),
    });
    this.follow(settings);
  }

  /** The datastore that an object lies in, whichever domain put it there. */
  find(id: string): Datastore | undefined {
    return this.#opened.get(id)?.store;
  }

  /** All of them. */
  values(): Datastore[] {
    return [...this.#opened.values()].map(({ store }) => store);
  }

  /**
   * The datastore that takes a new object of this kind: of those that list the kind the one with the fewest bytes, and of equals
   * the first. Asked before a body is taken in for it.
   *
   * Errors: 503 where its place is not there; an Error when none takes the kind.
   */
  async pick<K extends string>(choices: readonly DatastoreChoice<K>[], kind: K): Promise<Datastore> {
    const stores = choices.map((choice) => ({ ...choice, store: this.#openedAs(choice.id) }));
    const { store, presence } = await makePickDatastore<Opened, K>(stores, () => this.#bytes.get())(kind);
    await presence.demand().catch((error: unknown) => {
      throw cannotStore(error);
    });
    return store;
  }

  /** Looks for all of them, for so many milliseconds at most. What keeps us from telling is logged. */
  async look(withinMs: number): Promise<void> {
    const done = new AbortController();
    const looks = [...this.#opened].map(([datastore, { presence }]) =>
      presence.demandNow().catch((error: unknown) => {
        if (presence.state !== "absent") this.#parts.log.warn({ datastore, error }, "datastore presence unknown");
      }),
    );
    await Promise.race([Promise.all(looks), sleep(withinMs, done.signal)]);
    done.abort();
  }

  /** The ids of those that were not there when they were last looked for. */
  missing(): string[] {
    return [...this.#opened].flatMap(([id, { presence }]) => (presence.state === "absent" ? [id] : []));
  }

  /**
   * Opens what a changed configuration names and is not open yet, and opens anew what lies where it did but is reached otherwise
   * (another key of a bucket); readings of it go on. Nothing is closed: what lies in a datastore that is named no more is still
   * to be read. Throws, with nothing changed, where one cannot be opened.
   */
  follow(changed: Iterable<DatastoreSettings>): void {
    const due = [...changed].filter((settings) => isToOpen(this.#opened.get(settings.id)?.settings, settings));
    for (const opened of due.map((settings) => openDatastore(settings, this.#parts))) {
      const old = this.find(opened.store.id);
      if (old) this.#replaced.push(old);
      this.#opened.set(opened.store.id, opened);
    }
  }

  /** The ids of those that the configuration has at another place than where they are open. */
  elsewhere(changed: Iterable<DatastoreSettings>): string[] {
    return [...changed].flatMap(({ id, place }) => {
      const open = this.#opened.get(id)?.settings;
      return open && open.place !== place ? [id] : [];
    });
  }

  /** Releases all connections. */
  async close(): Promise<void> {
    await Promise.all([...this.values(), ...this.#replaced].map((store) => store.close()));
  }

  #openedAs(id: string): Opened {
    const opened = this.#opened.get(id);
    if (!opened) throw new Error(`the datastore "${id}" was not opened`);
    return opened;
  }
}

function isToOpen(open: DatastoreSettings | undefined, changed: DatastoreSettings): boolean {
  return open === undefined || (open.place === changed.place && !isDeepStrictEqual(open.opts, changed.opts));
}

function openDatastore(settings: DatastoreSettings, parts: DatastoresParts): Opened {
  const { id, place } = settings;
  const store =
    settings.type === "file"
      ? makeFileDatastore({ id, folder: settings.opts.path, fsync: settings.opts.fsync })
      : makeS3Datastore({ id, ...settings.opts });
  const presence = new Presence({ ...parts, store, place });
  return { store: guardDatastore(store, presence), presence, settings };
}
