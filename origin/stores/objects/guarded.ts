import type { Datastore, KnownObject } from "./datastore.ts";
import type { Presence } from "./presence.ts";
import { cannotRead, cannotStore, telling } from "./store_trouble.ts";

/**
 * A datastore that is not written to, and says of no object that it is missing, while its place is not there: both are 503 then.
 * What is there costs nothing more to read.
 */
export function guardDatastore(store: Datastore, presence: Presence): Datastore {
  const { removeUnfinished, localPath, openFile } = store;
  const present = () => presence.demand();

  /** What was done at a place that went away meanwhile does not count. */
  async function change(work: () => Promise<void>): Promise<void> {
    await present();
    await work();
    await present();
  }

  /** Looks again where nothing was found, once it is sure that there was a place to look in. */
  async function sure<T>(
    signal: AbortSignal,
    look: () => Promise<T | undefined | false>,
  ): Promise<T | undefined | false> {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    await telling(cannotRead, signal, () => presence.demandNow());
    return await look();
  }

  return {
    id: store.id,
    kind: store.kind,
    ...(store.place === undefined ? {} : { place: store.place }),
    stagingFolder: store.stagingFolder,
    ...(store.isFlushed === undefined ? {} : { isFlushed: store.isFlushed }),
    locationStem: (sha256) => store.locationStem(sha256),
    locationFor: (sha256, generation) => store.locationFor(sha256, generation),
    async put(location, file, signal) {
      await telling(cannotStore, signal, present);
      await store.put(location, file, signal);
      await telling(cannotStore, signal, present);
    },
    has: async (object: KnownObject, signal) => (await sure(signal, () => store.has(object, signal))) === true,
    open: async (object, slice, signal) => (await sure(signal, () => store.open(object, slice, signal))) || undefined,
    // Whoever finds nothing here asks `open`, which makes sure.
    ...(openFile ? { openFile: openFile.bind(store) } : {}),
    remove: (location, signal) => change(() => store.remove(location, signal)),
    ...(removeUnfinished ? { removeUnfinished: removeUnfinished.bind(store) } : {}),
    sign: (identity, signal) => store.sign(identity, signal),
    isSigned: (identity, signal) => store.isSigned(identity, signal),
    ...(localPath ? { localPath: localPath.bind(store) } : {}),
    close: () => store.close(),
  };
}
