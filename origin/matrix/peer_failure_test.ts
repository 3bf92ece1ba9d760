import assert from "node:assert/strict";
import { test } from "node:test";
import { FetchError, type FetchFailure } from "../net/fetch_error.ts";
import type { Judgement } from "../platform/circuit.ts";
import { judgeAnswer, judgePeer } from "./peer_failure.ts";

const JUDGEMENTS: Record<FetchFailure, Judgement> = {
  dns: "down",
  address: "down",
  connect: "down",
  tls: "down",
  timeout: "down",
  broken: "down",
  too_large: "alive",
  encoding: "alive",
  redirect: "alive",
  url: "nothing",
  busy: "nothing",
  aborted: "nothing",
};

for (const [failure, judgement] of Object.entries(JUDGEMENTS)) {
  test(`a server whose request failed by "${failure}" is judged "${judgement}"`, () => {
    assert.equal(judgePeer(new FetchError(failure as FetchFailure, "")), judgement);
  });
}

test("what is wrong with ourselves says nothing of the server", () => {
  assert.equal(judgePeer(new TypeError("a bug")), "nothing");
});

test("every answer of a Matrix server shows that it lives, but for its own 5xx", () => {
  const answered = (status: number, type: string | null) => judgeAnswer({ status, headers: { get: () => type } });
  for (const status of [200, 302, 401, 404, 429]) assert.equal(answered(status, null), "alive");
  assert.equal(answered(504, "application/json; charset=utf-8"), "nothing");
  for (const type of [null, "text/html"]) assert.equal(answered(502, type), "down");
});
