import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import type { Database, PayloadListener, Queryable } from "../../../origin/stores/db/database.ts";
import { openPostgres } from "../../../origin/stores/db/postgres.ts";
import { sqlState } from "../../../origin/stores/db/sql_state.ts";
import { isFailure } from "../../../shared/matrix/failure.ts";
import { databaseKinds, newDatabase, openTestDatabase } from "../../support/database.ts";
import { type Lifetime, lifetimeOfSuite } from "../../support/lifetime.ts";
import { until } from "../../support/until.ts";

for (const kind of databaseKinds()) {
  describe(`Database on ${kind.name}`, { skip: kind.skip }, () => {
    const suite = lifetimeOfSuite();
    let db: Database;
    before(async () => {
      db = await openTestDatabase(suite, kind, { empty: true });
      await db.exec("CREATE TABLE words (word text PRIMARY KEY, n bigint); CREATE TABLE other (id int PRIMARY KEY)");
    });

    test("8-byte integers are numbers, bytes are bytes, jsonb is parsed, null stays null", async () => {
      const { rows } = await db.query(
        `SELECT 9007199254740991::bigint AS big, count(*) AS count, '\\x00ff'::bytea AS bytes,
           '{"a": [1]}'::jsonb AS json, NULL AS nothing FROM generate_series(1, 3)`,
      );
      assert.deepEqual(rows, [
        { big: 9007199254740991, count: 3, bytes: Buffer.from([0, 255]), json: { a: [1] }, nothing: null },
      ]);
    });

    test("a number that JS cannot hold is an error, not another number", async () => {
      await assert.rejects(db.query("SELECT 9007199254740992::bigint AS big"), RangeError);
      assert.deepEqual((await db.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
    });

    test("rowCount counts what a statement touched", async () => {
      assert.equal((await db.query("INSERT INTO words VALUES ('x', 1), ('y', 2)")).rowCount, 2);
      assert.equal((await db.query("DELETE FROM words WHERE word = $1", ["nobody"])).rowCount, 0);
      assert.equal((await db.query("DELETE FROM words")).rowCount, 2);
    });

    test("several statements without parameters give the result of the last", async () => {
      assert.deepEqual((await db.query("SELECT 1 AS a; SELECT 2 AS b")).rows, [{ b: 2 }]);
    });

    test("an error of the server has its code, and the connection lives on", async () => {
      await assert.rejects(db.query("SELECT nonsense"), (error) => sqlState(error) === "42703");
      assert.deepEqual((await db.query("SELECT $1::text AS said", ["still here"])).rows, [{ said: "still here" }]);
    });

    test("transaction commits what resolves and undoes what throws", async () => {
      await db.transaction((tx) => tx.query("INSERT INTO words VALUES ('kept', 1)"));
      await assert.rejects(
        db.transaction(async (tx) => {
          await tx.query("INSERT INTO words VALUES ('lost', 1)");
          throw new Error("changed my mind");
        }),
        /changed my mind/,
      );
      assert.deepEqual((await db.query("SELECT word FROM words")).rows, [{ word: "kept" }]);
    });

    test("transaction does not pretend to commit when a failed statement was swallowed", async () => {
      await assert.rejects(
        db.transaction(async (tx) => {
          await tx.query("INSERT INTO words VALUES ('swallowed', 1)");
          await tx.query("SELECT nonsense").catch(() => undefined);
        }),
        /Cannot commit/,
      );
      assert.equal((await db.query("SELECT FROM words WHERE word = 'swallowed'")).rowCount, 0);
    });

    test("the database inside its own transaction is refused at once instead of waiting for ever", async () => {
      await db.transaction(async (tx) => {
        await assert.rejects(db.query("SELECT 1"), /inside its own transaction/);
        await assert.rejects(
          db.transaction(async () => undefined),
          /inside its own transaction/,
        );
        await assert.rejects(db.exec("SELECT 1"), /inside its own transaction/);
        assert.equal((await tx.query("SELECT 1")).rowCount, 1);
      });
    });

    test("a transaction cannot be queried after its end, and what it started may use the database then", async () => {
      let escaped: Queryable | undefined;
      let later: Promise<number> | undefined;
      await db.transaction(async (tx) => {
        escaped = tx;
        later = sleep(20).then(async () => (await db.query("SELECT 1")).rowCount);
      });
      await assert.rejects(async () => await escaped?.query("SELECT 1"), /has ended/);
      assert.equal(await later, 1);
    });

    test("exec runs a script in one transaction: all of it or nothing", async () => {
      await assert.rejects(db.exec("INSERT INTO other VALUES (1); SELECT nonsense"), /nonsense/);
      await db.exec("INSERT INTO other VALUES (2); INSERT INTO other VALUES (3)");
      assert.deepEqual((await db.query("SELECT id FROM other ORDER BY id")).rows, [{ id: 2 }, { id: 3 }]);
    });

    test("listen hears every payload, with the channel's name as it is written, until it is told to stop", async () => {
      const heard: string[] = [];
      const stop = await db.listen('Odd-"Name"', hearing(heard));
      await db.query("SELECT pg_notify($1, 'one')", ['Odd-"Name"']);
      await db.transaction((tx) => tx.query("SELECT pg_notify($1, 'two')", ['Odd-"Name"']));
      await until(() => heard.length === 2, "both are heard");
      await stop();
      await db.query("SELECT pg_notify($1, 'three')", ['Odd-"Name"']);
      await sleep(50);
      assert.deepEqual(heard, ["one", "two"]);
    });

    test("many queries at once all get their answers", async () => {
      const answers = await Promise.all(
        Array.from(
          { length: 200 },
          async (_, n) => (await db.query<{ n: number }>("SELECT $1::int AS n", [n])).rows[0]?.n,
        ),
      );
      assert.deepEqual(answers, [...answers.keys()]);
    });

    test("timers have their turn while the database is busy", async () => {
      let done = 0;
      let doneByThen: number | undefined;
      setTimeout(() => {
        doneByThen = done;
      }, 1);
      const worker = async () => {
        for (; doneByThen === undefined && done < 2_000; done += 1) await db.query("SELECT 1");
      };
      await Promise.all(Array.from({ length: 8 }, worker));
      assert.notEqual(doneByThen, undefined, `${done} queries were answered before a timer of 1 ms had its turn`);
    });
  });
}

const [, postgres] = databaseKinds();

describe("Postgres", { skip: postgres?.skip ?? false }, () => {
  async function open(t: Lifetime, maxConnections: number) {
    const { url, drop, open } = await newDatabase(maxConnections);
    const db = await open();
    t.after(async () => {
      await db.close();
      await drop();
    });
    return { db, url };
  }

  test("a transaction that is the victim of a deadlock runs again", async (t) => {
    const { db } = await open(t, 4);
    await db.exec("CREATE TABLE pair (id int PRIMARY KEY, n int); INSERT INTO pair VALUES (1, 0), (2, 0)");
    let met = 0;
    let release = () => {};
    const both = new Promise<void>((resolve) => {
      release = resolve;
    });
    let runs = 0;
    const lockIn = (first: number, second: number) =>
      db.transaction(async (tx) => {
        runs += 1;
        await tx.query("UPDATE pair SET n = n + 1 WHERE id = $1", [first]);
        met += 1;
        if (met === 2) release();
        await both;
        await tx.query("UPDATE pair SET n = n + 1 WHERE id = $1", [second]);
      });
    await Promise.all([lockIn(1, 2), lockIn(2, 1)]);
    assert.equal(runs, 3);
    assert.deepEqual((await db.query("SELECT n FROM pair")).rows, [{ n: 2 }, { n: 2 }]);
  });

  test("a full queue is refused with 503, and what waits is served", async (t) => {
    const { db } = await open(t, 1);
    const answers = await Promise.allSettled(Array.from({ length: 150 }, () => db.query("SELECT pg_sleep(0.001)")));
    const refused = answers.filter((answer) => answer.status === "rejected").map((answer) => answer.reason);
    assert.equal(answers.length - refused.length, 100);
    assert.ok(refused.every((error) => isFailure(error, "unavailable") && error.retryAfterMs));
  });

  test("a connection that the server ends fails its query only; the next one is new", async (t) => {
    const { db, url } = await open(t, 1);
    const other = await openPostgres({ url, maxConnections: 1 });
    t.after(() => other.close());
    const slow = db.query("SELECT pg_sleep(10)").catch((error: Error) => error);
    await until(async () => (await other.query(KILL_OTHERS)).rowCount > 0, "there is a connection to end");
    assert.ok((await slow) instanceof Error);
    assert.deepEqual((await db.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
    await other.query(KILL_OTHERS);
    await until(async () => (await other.query(OTHERS)).rowCount === 0, "the connection is gone");
    // What it said at its end has arrived; now it is heard, too.
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual((await db.query("SELECT 2 AS two")).rows, [{ two: 2 }]);
  });

  test("listen goes on after its connection was ended", async (t) => {
    const { db } = await open(t, 2);
    const heard: string[] = [];
    await db.listen("news", hearing(heard));
    await db.query(KILL_OTHERS);
    await until(async () => {
      // A query may meet a connection that is just being ended.
      await db.query("NOTIFY news, 'again'").catch(() => undefined);
      return heard.includes("again");
    }, "it listens again");
    assert.equal(heard[0], GAP, "first it is told that something may have been missed");
  });

  test("a server that cannot be reached is an error that does not hold its password", async () => {
    const url = "postgres://somebody:hunter2@127.0.0.1:1/media";
    await assert.rejects(openPostgres({ url, maxConnections: 1 }), (error: Error) => {
      assert.match(error.message, /ECONNREFUSED/);
      assert.doesNotMatch(inspect(error), /hunter2/);
      return true;
    });
  });

  test("statements and locks are bounded in time", async (t) => {
    const { db } = await open(t, 1);
    const { rows } = await db.query("SELECT current_setting('statement_timeout') s, current_setting('lock_timeout') l");
    assert.deepEqual(rows, [{ s: "30s", l: "10s" }]);
    await db.exec("CREATE TABLE seen AS SELECT current_setting('statement_timeout') AS s");
    assert.deepEqual((await db.query("SELECT s FROM seen")).rows, [{ s: "0" }]);
  });
});

const OTHERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
const KILL_OTHERS = `SELECT pg_terminate_backend(pid) FROM (${OTHERS}) AS others`;

const GAP = "(a gap)";

function hearing(heard: string[]): PayloadListener {
  return { onPayload: (payload) => void heard.push(payload), onReconnect: () => void heard.push(GAP) };
}
