import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { ACCOUNTS, startOrigin } from "../../support/app.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, jsonOf, upload } from "../../support/http.ts";
import { ownPostgresSkip, startPostgres } from "../../support/own_postgres.ts";
import { makePhoto } from "../../support/pictures.ts";
import { until } from "../../support/until.ts";

const USER = "token_of_user";
const ROUNDS = 2;
const download = (id: string) => `/_matrix/client/v1/media/download/${id}`;
const thumbnail = (id: string, side: number) =>
  `/_matrix/client/v1/media/thumbnail/${id}?width=${side}&height=${side}&method=scale`;

test("a Postgres that crashes and comes back under load: nothing acknowledged is lost, and everything works again by itself", {
  skip: ownPostgresSkip(),
}, async (t) => {
  const homeserver = await startHomeserver(ACCOUNTS);
  t.after(() => homeserver.close());
  // What was acknowledged must be on the disk, which a crash of the server leaves as it is.
  const postgres = await startPostgres(t);
  const origin = await startOrigin(t, {
    homeservers: { "example.org": homeserver.url },
    postgres: postgres.url,
    maxConnections: 5,
    yaml: 'thumbnails: { dynamicSizing: true, types: ["image/jpeg"] }\n',
  });
  const get = (path: string) => ask(origin.url, path, { token: USER });
  const content = randomBytes(5_000);
  const known = await upload(origin.url, USER, content);
  const photo = await upload(origin.url, USER, await makePhoto(640, 480), { type: "image/jpeg" });

  const acknowledged = new Map<string, Buffer>();
  const seen = new Map<string, number>();
  let loading = true;
  let side = 40;
  const note = (what: string, status: number) =>
    seen.set(`${what} ${status}`, (seen.get(`${what} ${status}`) ?? 0) + 1);
  const work: Record<string, () => Promise<number>> = {
    async upload() {
      const body = randomBytes(500);
      const heard = await ask(origin.url, "/_matrix/media/v3/upload", { method: "POST", token: USER, body });
      if (heard.status === 200) acknowledged.set(String(jsonOf(heard).content_uri).replace("mxc://", ""), body);
      return heard.status;
    },
    async download() {
      const heard = await get(download(known));
      if (heard.status === 200) assert.ok(heard.body.equals(content));
      return heard.status;
    },
    async thumbnail() {
      side = side === 300 ? 40 : side + 1;
      return (await get(thumbnail(photo, side))).status;
    },
    async logout() {
      const token = `leaving-${randomBytes(8).toString("hex")}`;
      homeserver.accounts.set(token, { user_id: "@leaving:example.org", device_id: token });
      return (await ask(origin.url, "/_matrix/client/v3/logout", { method: "POST", token, body: "{}" })).status;
    },
  };
  const load = Promise.all(
    Object.entries(work).flatMap(([what, once]) =>
      [1, 2].map(async () => {
        while (loading) note(what, await once());
      }),
    ),
  );

  const counted = (what: string, status: number) => seen.get(`${what} ${status}`) ?? 0;
  /** All kinds of work are done well, more often than so far. */
  async function allDone(): Promise<void> {
    const before = new Map(Object.keys(work).map((what) => [what, counted(what, 200)]));
    for (const [what, so] of before) await until(() => counted(what, 200) > so + 2, `${what} works again by itself`);
  }

  for (let round = 0; round < ROUNDS; round += 1) {
    await allDone();
    const refused = counted("upload", 503);
    await postgres.crash();
    await until(() => counted("upload", 503) > refused, "it was noticed");
    await postgres.start();
    await allDone();
  }
  loading = false;
  await load;
  const unforeseen = [...seen.keys()].filter((key) => !/ (200|503)$/.test(key));
  assert.deepEqual(unforeseen, []);
  for (const [id, body] of acknowledged) assert.ok((await get(download(id))).body.equals(body), id);

  // News are heard again, on the connection that was lost.
  homeserver.accounts.set("listening", { user_id: "@listening:example.org", device_id: "D" });
  const config = () => ask(origin.url, "/_matrix/client/v1/media/config", { token: "listening" });
  assert.equal((await config()).status, 200);
  homeserver.accounts.delete("listening");
  await until(async () => {
    await origin.app.db.query("SELECT pg_notify('mxcdn_revoked', $1)", [
      JSON.stringify({ userId: "@listening:example.org" }),
    ]);
    return (await config()).status === 401;
  }, "what is sent on the channels is heard again");
});
