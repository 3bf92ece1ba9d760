import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import type { Database } from "../../../origin/stores/db/database.ts";
import type { Datastore, ListedObject } from "../../../origin/stores/objects/datastore.ts";
import { databaseKinds, openTestDatabase } from "../../support/database.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { sweeperOf } from "./sweep_stage.ts";

for (const kind of databaseKinds()) {
  describe(`sweeping large datastores with ${kind.name}`, { skip: kind.skip }, () => {
    const suite = lifetimeOfSuite();
    let db: Database;
    before(async () => {
      db = await openTestDatabase(suite, kind);
    });
    beforeEach(() => db.exec("TRUNCATE blobs, media, thumbnails"));

    const COUNT = 12_000;
    const SINCE = 5;
    const name = (n: number) => n.toString(16).padStart(64, "0");

    /** A datastore that lists so many objects and keeps none; `db` knows all but every n-th. */
    async function listing(unknownEvery: number): Promise<{ store: Datastore; removed: Set<string> }> {
      await db.query(
        `INSERT INTO blobs SELECT lpad(to_hex(n), 64, '0'), 1, 'files', 'l' || n, n, 1, NULL
         FROM generate_series(1, $1::int) n WHERE n % $2 <> 0`,
        [COUNT, unknownEvery],
      );
      await db.query("SELECT setval('generations', greatest($1, nextval('generations')))", [COUNT]);
      const removed = new Set<string>();
      const store = {
        id: "files",
        async *list(): AsyncGenerator<ListedObject> {
          for (let n = 1; n <= COUNT; n += 1) {
            const location = `${name(n)}-${n}`;
            if (!removed.has(location)) yield { location, size: 1, modifiedMs: SINCE + 1 };
          }
        },
        remove: async (location: string) => void removed.add(location),
      };
      return { store: store as unknown as Datastore, removed };
    }
    const ownedSince = async () => SINCE;

    test("the share is that of all orphans, not of those that one run removes", async () => {
      for (const every of [1, 5]) {
        await db.exec("TRUNCATE blobs, media, thumbnails");
        const { store, removed } = await listing(every);
        const { sweep, complaints } = sweeperOf(db, [store], { ownedSince });
        assert.equal(await sweep(), 0);
        assert.equal(removed.size, 0);
        assert.deepEqual(complaints[0]?.details, { datastore: "files", seen: COUNT, orphans: COUNT / every });
      }
    });

    test("one run removes a bounded number, the next one the rest", async () => {
      const { store, removed } = await listing(11);
      const { sweep } = sweeperOf(db, [store], { ownedSince });
      assert.deepEqual([await sweep(), await sweep(), await sweep()], [1_000, 90, 0]);
      assert.ok([...removed].every((location) => Number(location.split("-")[1]) % 11 === 0));
    });

    test("it ends soon when it is told to", async () => {
      const { store, removed } = await listing(20);
      const stop = new AbortController();
      const remove = async (location: string) => {
        removed.add(location);
        if (removed.size === 10) stop.abort(new Error("enough"));
      };
      const stopping = { id: store.id, list: store.list, remove } as Datastore;
      assert.equal(await sweeperOf(db, [stopping], { ownedSince }).sweep(stop.signal), 10);
      assert.equal(removed.size, 10);
    });

    test("one that cannot be read keeps no other from being swept", async () => {
      const { store } = await listing(20);
      const list = () => {
        throw new Error("no such bucket");
      };
      const lost = { id: "lost", list } as unknown as Datastore;
      const { sweep, complaints } = sweeperOf(db, [lost, store], { ownedSince });
      assert.equal(await sweep(), 600);
      assert.deepEqual(
        complaints.map((one) => one.details.datastore),
        ["lost"],
      );
    });
  });
}
