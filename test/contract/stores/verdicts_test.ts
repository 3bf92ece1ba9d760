import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import type { Database } from "../../../origin/stores/db/database.ts";
import {
  expireVerdicts,
  noteVerdict,
  settleVerdict,
  takeBackVerdict,
  takeVerdictsByToken,
  takeVerdictsByUser,
  takeVerdictsOfOtherTerms,
  type VerdictNote,
} from "../../../origin/stores/db/tables/verdicts.ts";
import { databaseKinds, openTestDatabase } from "../../support/database.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { NOW } from "./rows.ts";

const USER = "@user:example.org";
const HOUR = 3_600_000;
const MINUTE = 60_000;
const SERVER = "example.org";
const TERMS = "the terms";

for (const kind of databaseKinds()) {
  describe(`verdicts on ${kind.name}`, { skip: kind.skip }, () => {
    const suite = lifetimeOfSuite();
    let db: Database;
    before(async () => {
      db = await openTestDatabase(suite, kind);
    });
    beforeEach(() => db.exec("TRUNCATE edge_verdicts, edge_revocations"));

    const note = (key: string, tokenHash = `hash of ${key}`, terms = TERMS) =>
      noteVerdict(db, { key, serverName: SERVER, tokenHash, terms, expiresAt: NOW + MINUTE });
    const settle = (note: VerdictNote, more: { deviceId?: string; terms?: string; now?: number } = {}) => {
      const { now = NOW, ...how } = more;
      const expiresAt = now + HOUR;
      return settleVerdict(db, { ...note, userId: USER, terms: TERMS, expiresAt, ...how }, now);
    };
    const keysOf = (taken: readonly { key: string }[]) => taken.map(({ key }) => key).sort();
    const takeToken = async (hash: string) => keysOf(await db.transaction((tx) => takeVerdictsByToken(tx, hash)));
    const takeUser = async (deviceId?: string) =>
      keysOf(await db.transaction((tx) => takeVerdictsByUser(tx, USER, NOW, deviceId)));
    const takeOthers = async (terms: string, { limit = 10, serverName = SERVER } = {}) =>
      keysOf(await db.transaction((tx) => takeVerdictsOfOtherTerms(tx, [{ serverName, terms }], limit)));

    test("a logout takes every verdict on its token, whatever it was asked with, and no other", async () => {
      await note("a/1", "same token");
      await note("a/2", "same token");
      await note("a/3", "other token");
      assert.deepEqual(await takeToken("same token"), ["a/1", "a/2"]);
      assert.deepEqual(await takeToken("same token"), []);
    });

    test("a verdict whose token was revoked meanwhile is not to be written", async () => {
      const noted = await note("a/1");
      await takeToken("hash of a/1");
      assert.equal(await settle(noted), "void");
    });

    test("a verdict whose user was revoked meanwhile is not to be written, though nobody knew whose it was", async () => {
      const noted = await note("a/1");
      assert.deepEqual(await takeUser(), []);
      assert.equal(await settle(noted), "void");
      assert.equal(await settle(await note("a/1")), "settled");
    });

    test("a revocation of the user takes what is settled; one of a device takes that device's only", async () => {
      for (const [key, device] of [
        ["a/1", "PHONE"],
        ["a/2", "LAPTOP"],
        ["a/3", undefined],
      ] as const) {
        assert.equal(await settle(await note(key), device === undefined ? {} : { deviceId: device }), "settled");
      }
      assert.deepEqual(await takeUser("PHONE"), ["a/1"]);
      assert.deepEqual(await takeUser(), ["a/2", "a/3"]);
    });

    test("a revocation of one device does not disturb a verdict on another that is under way", async () => {
      const [phone, laptop] = [await note("a/1"), await note("a/2")];
      await takeUser("PHONE");
      assert.equal(await settle(phone, { deviceId: "PHONE" }), "void");
      assert.equal(await settle(laptop, { deviceId: "LAPTOP" }), "settled");
    });

    test("a verdict that was noted again has the larger generation, and the older one may still be settled", async () => {
      const first = await note("a/1");
      const second = await note("a/1");
      assert.ok(second.generation > first.generation);
      assert.equal(await settle(first), "settled");
      assert.equal(await settle(second), "settled");
      assert.equal(await settle({ ...second, incarnation: second.incarnation + 1 }), "void");
    });

    test("settling and revoking the user at once: taken or refused, never neither", async () => {
      for (let round = 0; round < 60; round += 1) {
        const key = `a/${round}`;
        const noted = await note(key);
        const [settled, taken] = await Promise.all([settle(noted), takeUser()]);
        assert.equal(settled === "settled", taken.includes(key), `round ${round}: settled ${settled}, taken ${taken}`);
      }
    });

    test("a note that nothing comes of lives a minute; one that is settled, as long as its verdict", async () => {
      const [alone, settled] = [await note("a/1"), await note("a/2")];
      assert.equal(await settle(settled), "settled");
      assert.deepEqual(await expireVerdicts(db, NOW + MINUTE + 1, 10), [{ key: "a/1", generation: alone.generation }]);
      assert.equal(await settle(alone), "void");
      assert.deepEqual(await expireVerdicts(db, NOW + HOUR + 1, 10), [{ key: "a/2", generation: settled.generation }]);
    });

    test("a note is taken back, but never that of another question, nor what was settled", async () => {
      const first = await note("a/1");
      const second = await note("a/1");
      await takeBackVerdict(db, first);
      assert.equal(await settle(second), "settled");
      await takeBackVerdict(db, second);
      assert.deepEqual(await takeToken("hash of a/1"), ["a/1"]);
      const third = await note("a/1");
      await takeBackVerdict(db, third);
      assert.equal(await settle(third), "void", "who was taken back may not be written");
      assert.deepEqual(await takeToken("hash of a/1"), []);
    });

    test("what was taken, or taken back, and noted anew is not what it was: the older note is void", async () => {
      const ways: [string, (noted: VerdictNote) => Promise<unknown>][] = [
        ["taken back", (noted) => takeBackVerdict(db, noted)],
        ["its token revoked", () => takeToken("hash of a/1")],
        ["its user revoked", async (noted) => [await settle(noted), await takeUser()]],
        ["its terms changed", () => takeOthers("newer")],
      ];
      for (const [way, take] of ways) {
        const first = await note("a/1");
        await take(first);
        const second = await note("a/1");
        assert.equal(await settle(first), "void", way);
        assert.equal(await settle(second), "settled", way);
        assert.deepEqual(await takeToken("hash of a/1"), ["a/1"]);
      }
    });

    test("of twenty verdicts on a token of one user the next is surplus, until one has ended", async () => {
      const keys = Array.from({ length: 20 }, (_, index) => `a/${index}`);
      for (const key of keys) assert.equal(await settle(await note(key, "one token")), "settled");
      assert.equal(await settle(await note("a/20", "one token")), "surplus");
      assert.equal(await settle(await note("a/7", "one token")), "settled", "one that is there is asked for again");
      assert.equal(await settle(await note("a/21", "other token")), "settled");
      const masquerade = { userId: "@else:example.org", terms: TERMS, expiresAt: NOW + HOUR };
      const masqueraded = { ...(await note("a/22", "one token")), ...masquerade };
      assert.equal(await settleVerdict(db, masqueraded, NOW), "settled", "it is another user's");
      const later = NOW + HOUR + 1;
      assert.equal(await settle(await note("a/23", "one token"), { now: later }), "settled", "the others expired");
      const left = [...keys, "a/22", "a/23"].sort();
      assert.deepEqual(await takeToken("one token"), left, "what was surplus left nothing");
    });

    test("of other terms, and of homeservers that are not served, all are taken, page by page", async () => {
      for (const key of ["a/1", "a/2"]) await settle(await note(key));
      await settle(await note("a/3", "hash", "older"), { terms: "older" });
      await note("a/4", "hash", "older");
      assert.deepEqual(await takeOthers(TERMS), ["a/3", "a/4"]);
      assert.deepEqual(await takeOthers(TERMS), []);
      assert.equal((await takeOthers(TERMS, { limit: 1, serverName: "else.example" })).length, 1);
      assert.equal((await takeOthers("newer")).length, 1);
      assert.deepEqual(await takeOthers("newer"), []);
    });

    test("what is taken has a generation for its tombstone, newer than that of any verdict", async () => {
      const generations = [await note("a/1"), await note("a/2")].map(({ generation }) => generation);
      const taken = await db.transaction((tx) => takeVerdictsOfOtherTerms(tx, [], 10));
      assert.equal(new Set([...generations, ...taken.map(({ generation }) => generation)]).size, 4);
      assert.ok(taken.every(({ generation }) => generation > Math.max(...generations)));
    });

    test("what is noted under new terms over a verdict of the old ones is of the old ones until it is settled", async () => {
      await settle(await note("a/1", "hash", "older"), { terms: "older" });
      const noted = await note("a/1", "hash");
      assert.deepEqual(await takeOthers(TERMS), ["a/1"]);
      assert.equal(await settle(noted), "void");
      assert.equal(await settle(await note("a/1")), "settled");
      assert.deepEqual(await takeOthers(TERMS), []);
    });

    test("what has expired is given for removal from the bucket, and old revocations are forgotten", async () => {
      await takeUser();
      const noted = await note("a/1");
      await settle(noted);
      assert.deepEqual(await expireVerdicts(db, NOW + HOUR, 10), []);
      assert.deepEqual(await expireVerdicts(db, NOW + HOUR + 1, 10), [{ key: "a/1", generation: noted.generation }]);
      assert.deepEqual((await db.query("SELECT user_id FROM edge_revocations")).rows, []);
    });
  });
}
