import assert from "node:assert/strict";
import { test } from "node:test";
import { Circuit, CircuitOpenError, type Judgement } from "./circuit.ts";

function make(failures: number) {
  let nowMs = 1_000_000;
  const circuit = new Circuit({ failures, clock: () => nowMs });
  let asked = 0;
  const attempt = (outcome: "good" | Judgement) =>
    circuit.run(
      async () => {
        asked += 1;
        if (outcome !== "good") throw new Error(outcome);
        return "answer";
      },
      (error) => (error as Error).message as Judgement,
    );
  return { circuit, attempt, asked: () => asked, pass: (ms: number) => (nowMs += ms) };
}

async function openFor(work: Promise<unknown>): Promise<number> {
  const error = await work.then(
    () => assert.fail("was not turned away"),
    (thrown) => thrown,
  );
  assert.ok(error instanceof CircuitOpenError, String(error));
  return error.retryAfterMs;
}

test("it opens after the given number of failures in a row and then asks nobody", async () => {
  const { attempt, asked } = make(3);
  for (const outcome of ["down", "down", "good", "down", "down", "down"] as const)
    await attempt(outcome).catch(() => {});
  assert.equal(await openFor(attempt("good")), 500);
  assert.equal(asked(), 6);
});

test("after the wait one tries while the others are turned away, and success lets everybody in", async () => {
  const { circuit, attempt, pass } = make(1);
  await attempt("down").catch(() => {});
  pass(499);
  assert.equal(await openFor(attempt("good")), 500);
  pass(1);
  let finish: (() => void) | undefined;
  const probe = circuit.run(
    () => new Promise<void>((resolve) => (finish = resolve)),
    () => "down",
  );
  await openFor(attempt("good"));
  finish?.();
  await probe;
  assert.equal(await attempt("good"), "answer");
  assert.equal(circuit.isQuiet, true);
});

test("each failed try makes the wait longer, up to a minute", async () => {
  const { attempt, pass } = make(1);
  await attempt("down").catch(() => {});
  const waits: number[] = [];
  for (let round = 0; round < 14; round += 1) {
    const wait = await openFor(attempt("good"));
    waits.push(wait);
    pass(wait);
    await assert.rejects(attempt("down"), /^Error: down/);
  }
  assert.deepEqual(waits.slice(0, 4), [500, 750, 1125, 1687.5]);
  assert.equal(Math.max(...waits), 60_000);
});

test("a refusal shows that the server lives; giving up ourselves shows nothing", async () => {
  const { attempt, pass } = make(2);
  await attempt("down").catch(() => {});
  await attempt("alive").catch(() => {});
  await attempt("down").catch(() => {});
  await attempt("nothing").catch(() => {});
  assert.equal(await attempt("good"), "answer");
  await attempt("down").catch(() => {});
  await attempt("down").catch(() => {});
  pass(500);
  await attempt("nothing").catch(() => {});
  await assert.rejects(attempt("down"), /^Error: down/, "the place of the one who gave up is free again");
});
