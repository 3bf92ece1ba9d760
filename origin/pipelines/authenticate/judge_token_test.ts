import assert from "node:assert/strict";
import { test } from "node:test";
import { makeJudgeToken } from "./judge_token.ts";
import { type Identity, TokenCache } from "./token_cache.ts";

const CONTEXT = { host: "example.org", clientAddress: undefined, fenced: false };

/** A judge whose homeserver answers when the test says so. */
function makeBench() {
  const cache = new TokenCache(() => 1_000);
  const questions: ((identity: Identity) => void)[] = [];
  const judge = makeJudgeToken({
    clock: () => 1_000,
    cache,
    metrics: { tokenJudged: () => undefined },
    drawGeneration: async () => 1,
  });
  const domain = {
    serverName: "example.org",
    applicationServices: [],
    tokenTtlMs: 60_000,
    whoami: () => new Promise<Identity>((resolve) => questions.push(resolve)),
  };
  return { cache, questions, judge: () => judge(domain, { token: "secret" }, CONTEXT) };
}

/** Long after whatever asks has asked. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 50));

test("many who ask for one token at once cost one question, and its answer is remembered", async () => {
  const { questions, judge } = makeBench();
  const asked = [judge(), judge(), judge()];
  await settled();
  assert.equal(questions.length, 1);
  questions[0]?.({ userId: "@a:example.org", isGuest: false });
  assert.deepEqual(new Set((await Promise.all(asked)).map(({ userId }) => userId)), new Set(["@a:example.org"]));
  await judge();
  assert.equal(questions.length, 1);
});

test("who comes after a logout does not get the answer to a question from before it", async () => {
  const { cache, questions, judge } = makeBench();
  const before = judge();
  await settled();
  cache.revokeUser("@a:example.org");
  const afterwards = judge();
  await settled();
  assert.equal(questions.length, 2);
  for (const answer of questions) answer({ userId: "@a:example.org", isGuest: false });
  await Promise.all([before, afterwards]);
});
