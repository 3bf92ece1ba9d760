import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import { hashToken } from "../../../origin/access/tokens/token_judge.ts";
import { databaseKinds } from "../../support/database.ts";
import { jsonOf } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { until } from "../../support/until.ts";
import { type LogoutStage, setLogoutStage } from "./logout_stage.ts";

/** Logouts in which something fails half-way: what the homeserver has ended is over at both tiers all the same. */

const TIERS = ["origin", "edge"] as const;
const NEVER = new Promise<never>(() => undefined);
const isLogout = (path: string) => path.includes("/logout");

describe("a logout that fails half-way", () => {
  const lifetime = lifetimeOfSuite();
  let stage: LogoutStage;
  before(async () => {
    stage = await setLogoutStage(lifetime, { patienceS: 2 });
  });
  beforeEach(() => {
    stage.homeserver.beforeAnswer = undefined;
    stage.homeserver.answer = undefined;
    stage.bucketWire.mend();
  });

  const unfinished = async (token: string) => {
    const { db } = stage.origin.app;
    return (await db.query("SELECT id FROM logouts WHERE token_hash = $1", [hashToken(token)])).rows.length;
  };

  test("because the bucket is away is 503, and ends every device as soon as it is back", async () => {
    const [one, other] = await Promise.all(TIERS.map((tier) => stage.meet(`bucket_${tier}`)));
    assert.ok(one && other);
    stage.bucketWire.cut();
    const outs = await Promise.all([
      stage.logout("origin", one.phone, "all"),
      stage.logout("edge", other.phone, "all"),
    ]);
    for (const out of outs) {
      assert.deepEqual([out.status, jsonOf(out).errcode], [503, "M_UNKNOWN"]);
      assert.ok(Number(out.headers["retry-after"]) > 0);
    }
    stage.bucketWire.mend();
    for (const { phone, laptop } of [one, other]) {
      await until(async () => (await stage.get("edge", laptop)).status === 401, "the job has told the edge");
      await stage.assertOut(phone, laptop);
      assert.equal(await unfinished(phone), 0);
    }
  });

  for (const tier of TIERS) {
    test(`because the homeserver never answers ends every device that it has ended (by way of the ${tier})`, async () => {
      const { phone, laptop } = await stage.meet(`silent_${tier}`);
      stage.homeserver.beforeAnswer = (path) => (isLogout(path) ? NEVER : Promise.resolve());
      const out = await stage.logout(tier, phone, "all");
      assert.deepEqual([out.status, jsonOf(out).errcode], [503, "M_UNKNOWN"]);
      assert.ok(Number(out.headers["retry-after"]) > 0);
      await stage.assertOut(phone, laptop);
      assert.equal(await unfinished(phone), 1, "nobody knows whether it is done");
      stage.homeserver.beforeAnswer = undefined;
      const again = await stage.logout(tier, phone, "all");
      assert.deepEqual([again.status, jsonOf(again).errcode], [401, "M_UNKNOWN_TOKEN"]);
      assert.equal(await unfinished(phone), 0, "who comes again finishes it");
    });
  }

  test("is finished by the job where nobody comes again, and what was given meanwhile ends", async () => {
    const { phone, laptop } = await stage.meet("late");
    const account = stage.homeserver.accounts.get(laptop);
    stage.homeserver.beforeAnswer = (path) => (isLogout(path) ? NEVER : Promise.resolve());
    assert.equal((await stage.logout("origin", phone, "all")).status, 503);
    // It has not got to this device yet.
    if (account) stage.homeserver.accounts.set(laptop, account);
    for (const tier of TIERS) assert.equal((await stage.get(tier, laptop)).status, 200);
    stage.homeserver.accounts.delete(laptop);
    await until(async () => (await stage.get("origin", laptop)).status === 401, "the origin asks again by itself");
    await stage.assertOut(laptop);
    await stage.origin.app.db.query("UPDATE logouts SET due_at = 0");
    await stage.origin.app.jobs.runNow("logouts");
    assert.equal(await unfinished(phone), 0);
  });

  test("because the homeserver refuses it ends nothing", async () => {
    const { phone, laptop } = await stage.meet("refused");
    stage.homeserver.answer = { status: 403, body: { errcode: "M_FORBIDDEN", error: "Not today" } };
    for (const tier of TIERS) assert.equal((await stage.logout(tier, phone, "all")).status, 403);
    stage.homeserver.answer = undefined;
    for (const tier of TIERS) {
      for (const token of [phone, laptop]) assert.equal((await stage.get(tier, token)).status, 200);
    }
    assert.equal(await unfinished(phone), 0);
  });

  test("for somebody whom the homeserver will not name ends all devices of whom we know it to be", async () => {
    const { phone, laptop } = await stage.meet("locked");
    const { phone: bystander } = await stage.meet("bystander");
    lock(phone, "locked");
    await stage.origin.app.db.query(`SELECT pg_notify('mxcdn_revoked', '{"userId":"@locked:example.org"}')`);
    await until(async () => (await stage.get("origin", phone)).status === 401, "the origin asks again");
    assert.equal((await stage.logout("origin", phone, "all")).status, 200);
    await stage.assertOut(phone, laptop);
    assert.match((await stage.get("edge", bystander)).headers["cache-status"] ?? "", /hit/);
  });

  test("for somebody of whom we know nothing has everybody judged anew", async () => {
    const { laptop } = await stage.meet("unknown");
    const { phone: bystander } = await stage.meet("neighbour");
    lock("never_seen", "unknown");
    assert.equal((await stage.logout("edge", "never_seen", "all")).status, 200);
    await until(async () => (await stage.get("edge", laptop)).status === 401, "the job has told the edge");
    await stage.assertOut(laptop);
    assert.equal((await stage.get("edge", bystander)).status, 200);
  });

  function lock(token: string, name: string): void {
    stage.homeserver.accounts.set(token, { user_id: `@${name}:example.org`, device_id: token, locked: true });
  }

  test("stores no token", async () => {
    const { phone } = await stage.meet("secret");
    stage.homeserver.beforeAnswer = (path) => (isLogout(path) ? NEVER : Promise.resolve());
    await stage.logout("origin", phone, "all");
    const { rows: kept } = await stage.origin.app.db.query("SELECT * FROM logouts");
    assert.ok(kept.length > 0 && !JSON.stringify(kept).includes(phone));
  });
});

describe("a logout that takes its time", () => {
  const lifetime = lifetimeOfSuite();

  test("leaves no verdict behind that was given before the homeserver answered", async () => {
    const stage = await setLogoutStage(lifetime);
    const { phone, laptop } = await stage.meet("between");
    // A homeserver that takes its time: the sessions are good until it answers.
    const accounts = [phone, laptop].map((token) => [token, stage.homeserver.accounts.get(token)] as const);
    let asked = false;
    stage.homeserver.beforeAnswer = async (path) => {
      if (!isLogout(path)) return;
      for (const [token, account] of accounts) if (account) stage.homeserver.accounts.set(token, account);
      asked = true;
      await until(() => !asked, "the test lets it answer");
      for (const [token] of accounts) stage.homeserver.accounts.delete(token);
    };
    const before = await stage.liveVerdicts();
    const out = stage.logout("edge", phone, "all");
    await until(() => asked, "it is asked");
    await until(async () => (await stage.liveVerdicts()).length === before.length - 2, "the old verdicts are void");
    for (const tier of TIERS) assert.equal((await stage.get(tier, laptop)).status, 200, "it is good until then");
    assert.equal((await stage.liveVerdicts()).length, before.length - 2, "what is given meanwhile lies nowhere");
    asked = false;
    assert.equal((await out).status, 200);
    await stage.assertOut(phone, laptop);
    assert.deepEqual((await stage.origin.app.db.query("SELECT id FROM logouts")).rows, []);
  });
});

const skip = databaseKinds().find((kind) => kind.name === "postgres")?.skip ?? false;

describe("a logout while the database is away", { skip }, () => {
  const lifetime = lifetimeOfSuite();
  let stage: LogoutStage;
  before(async () => {
    stage = await setLogoutStage(lifetime, { postgres: true });
  });

  for (const tier of TIERS) {
    test(`from the homeserver's answer on ends every device, once it is back (by way of the ${tier})`, async () => {
      const { phone, laptop } = await stage.meet(`gone_${tier}`);
      stage.homeserver.beforeAnswer = async (path) => {
        if (isLogout(path)) stage.databaseWire?.cut();
      };
      const out = await stage.logout(tier, phone, "all");
      assert.equal(out.status, 503);
      assert.ok(Number(out.headers["retry-after"]) > 0);
      stage.homeserver.beforeAnswer = undefined;
      stage.databaseWire?.mend();
      await until(async () => (await stage.get("edge", laptop)).status === 401, "the job has told the edge");
      await stage.assertOut(phone, laptop);
    });

    test(`before is not begun: 503, and the homeserver is not asked (by way of the ${tier})`, async () => {
      const { phone, laptop } = await stage.meet(`early_${tier}`);
      stage.databaseWire?.cut();
      const asked = stage.homeserver.asked.length;
      const out = await stage.logout(tier, phone, "all");
      assert.deepEqual([out.status, jsonOf(out).errcode], [503, "M_UNKNOWN"]);
      assert.ok(Number(out.headers["retry-after"]) > 0);
      assert.ok(!stage.homeserver.asked.slice(asked).some(isLogout));
      stage.databaseWire?.mend();
      for (const token of [phone, laptop]) {
        await until(async () => (await stage.get("origin", token)).status === 200, "it is good as before");
      }
    });
  }
});
