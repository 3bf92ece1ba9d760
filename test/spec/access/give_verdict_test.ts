import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import { Revocations } from "../../../origin/access/tokens/revocations.ts";
import { type Identity, TokenCache } from "../../../origin/access/tokens/token_cache.ts";
import { type TokenDomain, TokenJudge } from "../../../origin/access/tokens/token_judge.ts";
import { TokenQuestions } from "../../../origin/access/tokens/token_questions.ts";
import { VerdictIssuer, type VerdictIssuerParts } from "../../../origin/access/tokens/verdict_issuer.ts";
import { silentLog } from "../../../origin/platform/log.ts";
import type { EdgeDocument } from "../../../origin/stores/bucket/documents.ts";
import { Bus } from "../../../origin/stores/db/bus.ts";
import type { Database } from "../../../origin/stores/db/database.ts";
import { noteVerdict, takeBackVerdict } from "../../../origin/stores/db/tables/verdicts.ts";
import type { Credentials } from "../../../shared/matrix/access_token.ts";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { databaseKinds, openTestDatabase } from "../../support/database.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { PLAIN_POLICY } from "../../support/plain_policy.ts";

/** What the origin says of a token to the edge, and for how long. */

const NOW = 1_700_000_000_000;
const USER: Identity = { userId: "@user:example.org", deviceId: "PHONE", isGuest: false };
const CREDENTIALS: Credentials = { token: "secret" };
const CONTEXT = { host: "example.org", clientAddress: undefined };
for (const kind of databaseKinds()) {
  describe(`a verdict for the edge, on ${kind.name}`, { skip: kind.skip }, () => {
    const suite = lifetimeOfSuite();
    let db: Database;
    before(async () => {
      db = await openTestDatabase(suite, kind);
    });
    beforeEach(() => db.exec("TRUNCATE edge_verdicts, edge_revocations, edge_outbox, logouts"));

    /** A judge of tokens over a bucket that is a map; `whoami` is the homeserver. */
    function makeBench(whoami: (asked: number) => Promise<Identity>, how: Partial<VerdictIssuerParts> = {}) {
      const clock = () => NOW;
      const cache = new TokenCache({ clock, steady: clock });
      const bucket = new Map<string, EdgeDocument>();
      let asked = 0;
      const judge = new TokenJudge({
        ...{ clock, steady: clock, cache, metrics: { tokenJudged: () => undefined } },
        questions: new TokenQuestions({ clock, checkFailures: async () => undefined }),
        notes: { note: (names) => noteVerdict(db, names), takeBack: (note) => takeBackVerdict(db, note) },
      });
      const bus = new Bus({ db, log: silentLog, metrics: { newsIgnored: () => undefined } });
      const deliver = async () => undefined;
      const revocations = new Revocations({ db, bus, clock, log: silentLog, cache, deliver });
      const issuer = new VerdictIssuer({
        ...{
          db,
          clock,
          steady: clock,
          judge,
          cache,
          metrics: { published: () => undefined },
          sharedSecret: () => "the shared secret",
        },
        isInForce: () => true,
        hasConditionalWrites: async () => true,
        bucket: {
          async writeDocument(key, document) {
            bucket.set(key, document);
            return "written";
          },
          readDocument: async (key) => bucket.get(key),
        },
        ...how,
      });
      const domain: TokenDomain & { policy: typeof PLAIN_POLICY } = {
        serverName: "example.org",
        applicationServices: [],
        authPolicyHash: "the policy",
        tokenTtlMs: 3_600_000,
        policy: PLAIN_POLICY,
        homeserver: {
          whoami() {
            asked += 1;
            return whoami(asked);
          },
        },
      };
      return {
        bucket,
        revokeUser: () => revocations.note({ userIds: [USER.userId] }, async () => undefined),
        asked: () => asked,
        give: (more: Partial<TokenDomain> = {}, credentials = CREDENTIALS) =>
          issuer.issue({ ...domain, ...more }, credentials, CONTEXT),
      };
    }

    const rows = async () => (await db.query("SELECT key FROM edge_verdicts")).rows.length;

    test("lies in the bucket for as long as tokens are remembered, if that is longer than a logout takes to be seen", async () => {
      for (const [tokenTtlMs, scope, lives] of [
        [3_600_000, "bucket", 3_600_000],
        [2_001, "bucket", 2_001],
        [2_000, "memory", 2_000],
        [1_000, "memory", 1_000],
        [0, "once", 0],
      ] as const) {
        const { bucket, give } = makeBench(async () => USER);
        const given = await give({ tokenTtlMs });
        assert.deepEqual(
          [given.scope, given.verdict.exp - NOW, bucket.size],
          [scope, lives, scope === "bucket" ? 1 : 0],
        );
      }
    });

    test("lives two seconds where it cannot lie in the bucket, for nobody could take it back", async () => {
      const writeDocument = async () => Promise.reject(new Error("the store is away"));
      const ways: Partial<VerdictIssuerParts>[] = [
        { hasConditionalWrites: async () => false },
        { hasConditionalWrites: () => Promise.reject(new Error("the store is away")) },
        { bucket: { writeDocument, readDocument: async () => undefined } },
        { isInForce: () => false },
      ];
      for (const how of ways) {
        const { bucket, give } = makeBench(async () => USER, how);
        const { scope, verdict } = await give();
        assert.deepEqual([scope, verdict.exp - NOW, bucket.size], ["memory", 2_000, 0]);
      }
      const { give } = makeBench(async () => USER);
      const secretly = await give({}, { token: "the shared secret" });
      assert.deepEqual([secretly.scope, secretly.verdict.exp - NOW], ["memory", 2_000]);
    });

    test("is not kept waiting by a store that fails again and again", async () => {
      let writes = 0;
      const { give } = makeBench(async () => USER, {
        bucket: {
          async writeDocument() {
            writes += 1;
            throw new Error("the store is away");
          },
          readDocument: async () => undefined,
        },
      });
      for (let times = 0; times < 10; times += 1) assert.equal((await give()).scope, "memory");
      assert.equal(writes, 3);
    });

    test("on a token that is refused, or that nobody can judge, leaves nothing behind", async () => {
      for (const error of [new MatrixError("M_UNKNOWN_TOKEN", "no"), new MatrixError("M_UNKNOWN", "down")]) {
        const { give } = makeBench(() => Promise.reject(error));
        await assert.rejects(give(), error);
        assert.equal(await rows(), 0);
      }
    });

    test("lies nowhere where whom and which device the asker says to be has no effect", async () => {
      const vain = [{ userId: "@else:example.org" }, { deviceId: "OTHER" }, { ...USER, deviceId: "OTHER" }];
      for (const said of vain) {
        const { bucket, give } = makeBench(async () => USER);
        for (let times = 0; times < 2; times += 1) {
          assert.equal((await give({}, { ...CREDENTIALS, ...said })).scope, "memory");
        }
        assert.deepEqual([bucket.size, await rows()], [0, 0]);
      }
      const { bucket, give } = makeBench(async () => USER);
      assert.equal((await give({}, { ...CREDENTIALS, userId: USER.userId, deviceId: "PHONE" })).scope, "bucket");
      assert.deepEqual([bucket.size, await rows()], [1, 1]);
    });

    test("on a token that was logged out while it was judged is what the homeserver says then", async () => {
      const loggedOut = new MatrixError("M_UNKNOWN_TOKEN", "Logged out", { extra: { soft_logout: true } });
      const bench = makeBench(async (asked) => {
        if (asked > 1) throw loggedOut;
        await bench.revokeUser();
        return USER;
      });
      await assert.rejects(bench.give(), loggedOut);
      assert.deepEqual([bench.bucket.size, await rows(), bench.asked()], [0, 0, 2]);
    });

    test("that was void, though the token is not, is given anew, and never for long where it is void again", async () => {
      const once = makeBench(async (asked) => {
        if (asked === 1) await once.revokeUser();
        return USER;
      });
      assert.equal((await once.give()).scope, "bucket");
      const always = makeBench(async () => {
        await always.revokeUser();
        return USER;
      });
      assert.equal((await always.give()).scope, "once");
      assert.deepEqual([always.asked(), always.bucket.size], [2, 0]);
    });

    test("gives way to a tombstone that lies in the bucket", async () => {
      const refusal = new MatrixError("M_UNKNOWN_TOKEN", "Logged out");
      const { give } = makeBench((asked) => (asked > 1 ? Promise.reject(refusal) : Promise.resolve(USER)), {
        bucket: { writeDocument: async () => "superseded", readDocument: async () => ({ gen: 1e9, gone: true }) },
      });
      await assert.rejects(give(), refusal);
    });
  });
}
