import assert from "node:assert/strict";
import { test } from "node:test";
import { makeLog } from "../../../origin/platform/log.ts";
import { ACCOUNTS, startOrigin } from "../../support/app.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, upload } from "../../support/http.ts";
import { until } from "../../support/until.ts";

/** What anybody who may connect to the database can send on the channels of this service. */

const USER = "token_of_user";
const CHANNELS = ["mxcdn_revoked", "mxcdn_uploaded", "mxcdn_changed", "mxcdn_pulled"];
const NONSENSE = [
  "",
  "nonsense",
  "{",
  "null",
  "[]",
  "7",
  '"mxc://example.org/x"',
  '{"uri":7}',
  '{"tokenHash":{}}',
  '{"uri":"mxc://example.org/x","failure":{"asking":"example.org","errcode":"M_UNKNOWN","status":7,"message":"","keepMs":0}}',
  '{"uri":"mxc://example.org/x","failure":{"asking":"example.org","errcode":"M_UNKNOWN","status":502,"message":"","keepMs":1e300}}',
];

test("news that cannot be read are counted and ignored, and what is heard after them holds", async (t) => {
  const homeserver = await startHomeserver(ACCOUNTS);
  t.after(() => homeserver.close());
  const said: string[] = [];
  const origin = await startOrigin(t, {
    homeservers: { "example.org": homeserver.url },
    overrides: { log: makeLog({ level: "warn", json: true, write: (line) => void said.push(line) }) },
  });
  const { db, metrics } = origin.app;
  const say = (channel: string, payload: string) => db.query("SELECT pg_notify($1, $2)", [channel, payload]);
  const ignored = async (channel: string) => {
    const { body } = await metrics.page();
    return Number(new RegExp(`^media_news_ignored_total\\{channel="${channel}"\\} (\\d+)$`, "m").exec(body)?.[1] ?? 0);
  };

  const id = await upload(origin.url, USER, Buffer.alloc(1_000));
  for (const channel of CHANNELS) for (const payload of NONSENSE) await say(channel, payload);
  for (const channel of CHANNELS) {
    await until(async () => (await ignored(channel)) >= NONSENSE.length, `nonsense on ${channel} is counted`);
    assert.equal(said.filter((line) => line.includes(channel)).length, 1, `said once of ${channel}`);
  }

  // The row is known by now; that it has changed is heard on one of the channels.
  const download = () => ask(origin.url, `/_matrix/client/v1/media/download/${id}`, { token: USER });
  assert.equal((await download()).status, 200);
  await say("mxcdn_revoked", JSON.stringify({ userId: "@user:example.org" }));
  homeserver.accounts.delete(USER);
  await until(async () => (await download()).status === 401, "a token that was revoked elsewhere is refused");
});
