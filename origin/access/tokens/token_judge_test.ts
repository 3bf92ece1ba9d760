import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { type Identity, TokenCache } from "./token_cache.ts";
import { TokenJudge } from "./token_judge.ts";

const CONTEXT = { host: "example.org", clientAddress: undefined, fenced: false };
const FENCED = { ...CONTEXT, fenced: true };
const IDENTITY = { userId: "@a:example.org", isGuest: false };

/** A judge whose homeserver answers when the test says so. */
function makeBench() {
  const cache = new TokenCache({ clock: () => 1_000, steady: () => 1_000 });
  const questions: PromiseWithResolvers<Identity>[] = [];
  const takenBack: number[] = [];
  const judge = new TokenJudge({
    clock: () => 1_000,
    steady: () => 1_000,
    cache,
    metrics: { tokenJudged: () => undefined },
    questions: { judge: (_asker, question) => question() },
    notes: {
      note: async ({ key }) => ({ key, generation: 7, incarnation: 6 }),
      takeBack: async ({ generation }) => void takenBack.push(generation),
    },
  });
  const domain = {
    serverName: "example.org",
    applicationServices: [],
    authPolicyHash: "as it is",
    tokenTtlMs: 60_000,
    homeserver: {
      whoami() {
        const question = Promise.withResolvers<Identity>();
        questions.push(question);
        return question.promise;
      },
    },
  };
  return {
    ...{ cache, questions, takenBack },
    judge: (context = CONTEXT, authPolicyHash = domain.authPolicyHash) =>
      judge.judge({ ...domain, authPolicyHash }, { token: "secret" }, context),
    /** The question of this number, as soon as it is asked. */
    async question(number: number): Promise<PromiseWithResolvers<Identity>> {
      for (;;) {
        const question = questions[number - 1];
        if (question) return question;
        await setImmediate();
      }
    },
  };
}

test("many who ask for one token at once cost one question, and its answer is remembered", async () => {
  const { questions, question, judge } = makeBench();
  const asked = [judge(), judge(), judge()];
  (await question(1)).resolve(IDENTITY);
  assert.deepEqual(new Set((await Promise.all(asked)).map(({ userId }) => userId)), new Set(["@a:example.org"]));
  await judge();
  assert.equal(questions.length, 1);
});

test("who comes after a logout does not get the answer to a question from before it", async () => {
  const { cache, question, judge } = makeBench();
  const before = judge();
  await question(1);
  cache.revokeUser("@a:example.org");
  const afterwards = judge();
  (await question(2)).resolve(IDENTITY);
  (await question(1)).resolve(IDENTITY);
  await Promise.all([before, afterwards]);
});

test("what was noted is taken back when nothing comes of it, and only then", async () => {
  const { question, takenBack, judge } = makeBench();
  const unnoted = judge();
  (await question(1)).reject(new Error("unknown token"));
  await assert.rejects(unnoted, /unknown token/);
  assert.deepEqual(takenBack, []);

  const noted = judge(FENCED);
  (await question(2)).reject(new Error("unknown token"));
  await assert.rejects(noted, /unknown token/);
  assert.deepEqual(takenBack, [7]);

  const good = judge(FENCED);
  (await question(3)).resolve(IDENTITY);
  assert.equal((await good).note?.generation, 7);
  assert.deepEqual(takenBack, [7]);
});

test("under another policy nothing is remembered, also of a question that was asked under the old ones", async () => {
  const { question, judge } = makeBench();
  const before = judge();
  await question(1);
  const afterwards = judge(CONTEXT, "changed");
  (await question(2)).reject(new Error("not any more"));
  (await question(1)).resolve(IDENTITY);
  await before;
  await assert.rejects(afterwards, /not any more/);
  const again = judge(CONTEXT, "changed");
  (await question(3)).reject(new Error("still not"));
  await assert.rejects(again, /still not/);
});
