import { isDeepStrictEqual } from "node:util";
import { placeOf } from "./config/files/place.ts";
import type { Config, DatastoreConfig } from "./config/schema.ts";
import { sleep } from "./platform/time.ts";
import type { Datastore } from "./stores/objects/datastore.ts";
import { makeFileDatastore } from "./stores/objects/file.ts";
import { guardDatastore } from "./stores/objects/guarded.ts";
import { Presence, type PresenceParts } from "./stores/objects/presence.ts";
import { makeS3Datastore } from "./stores/objects/s3.ts";
import { cannotStore } from "./stores/objects/store_trouble.ts";

/** The part of `app.ts` that opens the datastores, and keeps up with what the configuration says of them. */

/** The datastores that are open, by id. */
export interface OpenDatastores {
  get(id: string): Datastore | undefined;
  values(): Iterable<Datastore>;
  /** Throws 503 where a datastore is not there to be written to: before a body is taken in for it. */
  requirePresent(id: string): Promise<void>;
  /** Looks for all of them, for so many milliseconds at most. What keeps us from telling is logged. */
  look(withinMs: number): Promise<void>;
  /** The ids of those that were not there when they were last looked for. */
  missing(): string[];
  /**
   * Opens what another configuration names and is not open yet, and opens anew what lies where it did but is reached otherwise
   * (another key of a bucket); who reads from it still goes on. Nothing is closed: what lies in a datastore that is named no more
   * is still to be read. Throws, with nothing changed, where one cannot be opened.
   */
  follow(config: Config): void;
  /** The ids of those that the configuration has at another place than where they are open. */
  elsewhere(config: Config): string[];
  close(): Promise<void>;
}

/** What {@link openDatastores} needs beside the configuration. */
export type DatastoreParts = Omit<PresenceParts, "store" | "place">;

interface Opened {
  readonly store: Datastore;
  readonly presence: Presence;
  readonly as: DatastoreConfig;
}

/** Opens every datastore of the configuration once, under its id. */
export function openDatastores(config: Config, parts: DatastoreParts): OpenDatastores {
  const opened = new Map<string, Opened>();
  const replaced: Datastore[] = [];

  const datastores: OpenDatastores = {
    get: (id) => opened.get(id)?.store,
    values: () => [...opened.values()].map(({ store }) => store),
    async requirePresent(id) {
      await opened
        .get(id)
        ?.presence.demand()
        .catch((error) => {
          throw cannotStore(error);
        });
    },
    async look(withinMs) {
      const done = new AbortController();
      const looks = [...opened].map(([id, { presence }]) =>
        presence.demandNow().catch((error) => {
          if (presence.state !== "absent") parts.log.warn({ datastore: id, error }, "cannot look for a datastore");
        }),
      );
      await Promise.race([Promise.all(looks), sleep(withinMs, done.signal)]);
      done.abort();
    },
    missing: () => [...opened].flatMap(([id, { presence }]) => (presence.state === "absent" ? [id] : [])),
    follow(changed) {
      const due = [...datastoresOf(changed)].filter(([id, as]) => isToOpen(opened.get(id)?.as, as));
      for (const [id, one] of due.map(([id, as]) => [id, openDatastore(as, parts)] as const)) {
        const old = opened.get(id);
        if (old) replaced.push(old.store);
        opened.set(id, one);
      }
    },
    elsewhere: (changed) =>
      [...datastoresOf(changed)].flatMap(([id, as]) => {
        const now = opened.get(id)?.as;
        return now && placeOf(now) !== placeOf(as) ? [id] : [];
      }),
    async close() {
      await Promise.all([...datastores.values(), ...replaced].map((store) => store.close()));
    },
  };
  datastores.follow(config);
  return datastores;
}

function isToOpen(now: DatastoreConfig | undefined, as: DatastoreConfig): boolean {
  return now === undefined || (placeOf(now) === placeOf(as) && !isDeepStrictEqual(now.opts, as.opts));
}

/** All that the configuration names, for whatever homeserver. */
function datastoresOf(config: Config): Map<string, DatastoreConfig> {
  const all = [config.datastores, ...[...config.domains.values()].map((domain) => domain.datastores)].flat();
  return new Map(all.map((store) => [store.id, store]));
}

function openDatastore(as: DatastoreConfig, parts: DatastoreParts): Opened {
  const store =
    as.type === "file"
      ? makeFileDatastore({ id: as.id, folder: as.opts.path })
      : makeS3Datastore({ id: as.id, ...as.opts });
  const presence = new Presence({ ...parts, store, place: placeOf(as) ?? as.id });
  return { store: guardDatastore(store, presence), presence, as };
}
