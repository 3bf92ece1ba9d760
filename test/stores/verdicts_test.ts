import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import type { Database } from "../../origin/stores/db/database.ts";
import {
  expireVerdicts,
  noteVerdict,
  settleVerdict,
  takeVerdictsByToken,
  takeVerdictsByUser,
} from "../../origin/stores/db/verdicts.ts";
import { databaseKinds, openTestDatabase } from "../support/database.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";
import { NOW } from "./rows.ts";

const USER = "@user:example.org";
const HOUR = 3_600_000;

for (const kind of databaseKinds()) {
  describe(`verdicts on ${kind.name}`, { skip: kind.skip }, () => {
    const suite = lifetimeOfSuite();
    let db: Database;
    before(async () => {
      db = await openTestDatabase(suite, kind);
    });
    beforeEach(() => db.exec("TRUNCATE edge_verdicts, edge_revocations"));

    const note = (key: string, tokenHash = `hash of ${key}`) =>
      noteVerdict(db, { key, serverName: "example.org", tokenHash, expiresAt: NOW + HOUR });
    const settle = (key: string, generation: number, deviceId?: string) =>
      settleVerdict(db, { key, generation, userId: USER, deviceId, expiresAt: NOW + HOUR });
    const takeToken = (hash: string) => db.transaction((tx) => takeVerdictsByToken(tx, hash));
    const takeUser = (deviceId?: string) => db.transaction((tx) => takeVerdictsByUser(tx, USER, NOW, deviceId));

    test("a logout takes every verdict on its token, whatever it was asked with, and no other", async () => {
      await note("a/1", "same token");
      await note("a/2", "same token");
      await note("a/3", "other token");
      assert.deepEqual((await takeToken("same token")).sort(), ["a/1", "a/2"]);
      assert.deepEqual(await takeToken("same token"), []);
    });

    test("a verdict whose token was revoked meanwhile is not to be written", async () => {
      const generation = await note("a/1");
      await takeToken("hash of a/1");
      assert.equal(await settle("a/1", generation), false);
    });

    test("a verdict whose user was revoked meanwhile is not to be written, though nobody knew whose it was", async () => {
      const generation = await note("a/1");
      assert.deepEqual(await takeUser(), []);
      assert.equal(await settle("a/1", generation), false);
      assert.equal(await settle("a/1", await note("a/1")), true);
    });

    test("a revocation of the user takes what is settled; one of a device takes that device's only", async () => {
      for (const [key, device] of [
        ["a/1", "PHONE"],
        ["a/2", "LAPTOP"],
        ["a/3", undefined],
      ] as const) {
        assert.equal(await settle(key, await note(key), device), true);
      }
      assert.deepEqual(await takeUser("PHONE"), ["a/1"]);
      assert.deepEqual((await takeUser()).sort(), ["a/2", "a/3"]);
    });

    test("a revocation of one device does not disturb a verdict on another that is under way", async () => {
      const [phone, laptop] = [await note("a/1"), await note("a/2")];
      await takeUser("PHONE");
      assert.equal(await settle("a/1", phone, "PHONE"), false);
      assert.equal(await settle("a/2", laptop, "LAPTOP"), true);
    });

    test("a verdict that was noted again has the larger generation, and the older one may still be settled", async () => {
      const first = await note("a/1");
      const second = await note("a/1");
      assert.ok(second > first);
      assert.equal(await settle("a/1", first), true);
      assert.equal(await settle("a/1", second), true);
      assert.equal(await settle("a/1", second + 1), false);
    });

    test("settling and revoking the user at once: taken or refused, never neither", async () => {
      for (let round = 0; round < 60; round += 1) {
        const key = `a/${round}`;
        const generation = await note(key);
        const [settled, taken] = await Promise.all([settle(key, generation), takeUser()]);
        assert.notEqual(settled, false === taken.includes(key), `round ${round}: settled ${settled}, taken ${taken}`);
      }
    });

    test("what has expired is given for removal from the bucket, and old revocations are forgotten", async () => {
      const generation = await note("a/1");
      await takeUser();
      assert.deepEqual(await expireVerdicts(db, NOW + HOUR, 10), []);
      assert.deepEqual(await expireVerdicts(db, NOW + HOUR + 1, 10), [{ key: "a/1", generation }]);
      assert.deepEqual((await db.query("SELECT user_id FROM edge_revocations")).rows, []);
    });
  });
}
