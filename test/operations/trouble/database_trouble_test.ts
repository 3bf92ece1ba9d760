import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, describe, test } from "node:test";
import pg from "pg";
import { ACCOUNTS, startOrigin, type TestOrigin } from "../../support/app.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, type Heard, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { type OwnPostgres, ownPostgresSkip, startPostgres } from "../../support/own_postgres.ts";
import { makePhoto } from "../../support/pictures.ts";
import { until } from "../../support/until.ts";

/** A Postgres in trouble of its own: what it cannot do is nobody's mistake, is told as passing, and passes by itself. */

const USER = "token_of_user";
const CONNECTIONS = 12;
const POOL = 4;
const download = (id: string) => `/_matrix/client/v1/media/download/${id}`;
const thumbnail = (id: string, side: number) =>
  `/_matrix/client/v1/media/thumbnail/${id}?width=${side}&height=${side}&method=scale`;

describe("a Postgres in trouble", { skip: ownPostgresSkip() }, () => {
  const lifetime = lifetimeOfSuite();
  let postgres: OwnPostgres;
  let origin: TestOrigin;
  let known: string;
  let photo: string;
  const content = randomBytes(5_000);

  before(async () => {
    postgres = await startPostgres(lifetime, {
      max_connections: String(CONNECTIONS),
      superuser_reserved_connections: "1",
    });
    const homeserver = await startHomeserver(ACCOUNTS);
    lifetime.after(() => homeserver.close());
    origin = await startOrigin(lifetime, {
      homeservers: { "example.org": homeserver.url },
      postgres: postgres.url,
      maxConnections: POOL,
    });
    known = await upload(origin.url, USER, content);
    photo = await upload(origin.url, USER, await makePhoto(640, 480), { type: "image/jpeg" });
  });

  const get = (path: string) => ask(origin.url, path, { token: USER });
  const send = () =>
    ask(origin.url, "/_matrix/media/v3/upload", { method: "POST", token: USER, body: randomBytes(500) });
  const create = () => ask(origin.url, "/_matrix/media/v1/create", { method: "POST", token: USER });
  const worksAgain = async () => {
    await until(async () => (await send()).status === 200, "uploads work again");
    assert.ok((await get(download(known))).body.equals(content));
  };

  /** A connection of somebody else's, who may be in our way. */
  async function other(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: postgres.url });
    client.on("error", () => undefined);
    await client.connect();
    return client;
  }

  async function alter(setting: string, value: string): Promise<void> {
    const client = await other();
    await client.query(`ALTER SYSTEM SET ${setting} = ${value}`);
    await client.query("SELECT pg_reload_conf()");
    await client.end();
  }

  function isTrouble(heard: Heard): void {
    assert.equal(heard.status, 503, heard.body.toString("latin1").slice(0, 200));
    assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
    assert.notEqual(jsonOf(heard).error, "Internal server error");
    assert.ok(Number(heard.headers["retry-after"]) > 0);
    assert.equal(heard.headers["cache-control"], "no-store");
  }

  test("that has become read-only (a primary that was demoted) takes no uploads, and still serves", async () => {
    await alter("default_transaction_read_only", "on");
    await until(async () => (await send()).status !== 200, "it is read-only");
    for (const heard of [await send(), await create()]) isTrouble(heard);
    // It can be drawn, and is shown although it cannot be recorded.
    assert.equal((await get(thumbnail(photo, 96))).status, 200);
    assert.ok((await get(download(known))).body.equals(content));
    const client = await other();
    await client.query("SET default_transaction_read_only = off");
    await client.query("ALTER SYSTEM SET default_transaction_read_only = off");
    await client.query("SELECT pg_reload_conf()");
    await client.end();
    await worksAgain();
    assert.equal((await get(thumbnail(photo, 96))).status, 200);
  });

  for (const [limit, code] of [
    ["lock_timeout", "lock timeout"],
    ["statement_timeout", "statement timeout"],
  ] as const) {
    test(`where somebody holds a lock for longer than the ${code}`, async (t) => {
      // Of the sessions of the pool: what is set for a session counts more than what is set for the server.
      const locker = await other();
      t.after(() => locker.end());
      await locker.query("BEGIN; LOCK TABLE media IN ACCESS EXCLUSIVE MODE");
      const sessions = await Promise.all(
        Array.from({ length: POOL }, () =>
          origin.app.db.query(`SELECT set_config('${limit}', '300ms', false), pg_sleep(0.2)`),
        ),
      );
      assert.equal(sessions.length, POOL);
      const [drawn, ...sent] = await Promise.all([get(thumbnail(photo, 320)), send(), send()]);
      for (const heard of sent) isTrouble(heard);
      // Where the row of the picture was read a moment ago, nothing more is needed.
      if (drawn.status !== 200) isTrouble(drawn);
      await locker.query("ROLLBACK");
      await Promise.all(
        Array.from({ length: POOL }, () =>
          origin.app.db.query(`SELECT set_config('${limit}', '10s', false), pg_sleep(0.2)`),
        ),
      );
      await worksAgain();
    });
  }

  test("that has no connection left for us", async (t) => {
    const admin = await other();
    t.after(() => admin.end());
    const others: pg.Client[] = [];
    // Ours go, and others are faster.
    const grab = async () => {
      await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mxcdn'");
      for (;;) {
        const one = await other().catch(() => undefined);
        if (!one) return;
        others.push(one);
      }
    };
    await until(async () => {
      await grab();
      return (await send()).status === 503;
    }, "there is no connection left");
    isTrouble(await send());
    isTrouble(await create());
    await Promise.all(others.map((one) => one.end()));
    await worksAgain();
  });

  test("that is shut down under an operator's hands, in the middle of what is under way", async () => {
    const admin = await other();
    const under = Promise.all(Array.from({ length: 30 }, send));
    await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mxcdn'");
    for (const heard of await under) if (heard.status !== 200) isTrouble(heard);
    await admin.end();
    await worksAgain();
  });
});
