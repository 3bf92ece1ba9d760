import assert from "node:assert/strict";
import { test } from "node:test";
import { WorkQueue } from "./work_queue.ts";

const full = () => new Error("full");
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Work that runs until it is told to end, and tells when it began. */
function makeWork(began: string[], name: string) {
  const gate = Promise.withResolvers<void>();
  const work = async () => {
    began.push(name);
    await gate.promise;
    return name;
  };
  return { work, end: gate.resolve, fail: gate.reject };
}

test("WorkQueue runs so many at once and the others in the order they came", async () => {
  const queue = new WorkQueue({ atOnce: 2, waiting: 9, full });
  const began: string[] = [];
  const works = ["a", "b", "c", "d"].map((name) => makeWork(began, name));
  const runs = works.map(({ work }) => queue.run(work));
  await turn();
  assert.deepEqual(began, ["a", "b"]);
  assert.deepEqual([queue.running, queue.waiting], [2, 2]);
  works[1]?.end();
  await turn();
  assert.deepEqual(began, ["a", "b", "c"]);
  for (const { end } of works) end();
  assert.deepEqual(await Promise.all(runs), ["a", "b", "c", "d"]);
  assert.deepEqual([queue.running, queue.waiting], [0, 0]);
});

test("WorkQueue refuses with the caller's error when the line is full, and takes work again afterwards", async () => {
  const queue = new WorkQueue({ atOnce: 1, waiting: 1, full });
  const [a, b] = [makeWork([], "a"), makeWork([], "b")];
  const runs = [queue.run(a.work), queue.run(b.work)];
  await assert.rejects(
    queue.run(async () => "c"),
    { message: "full" },
  );
  a.end();
  b.end();
  assert.deepEqual(await Promise.all(runs), ["a", "b"]);
  assert.equal(await queue.run(async () => "d"), "d");
});

test("WorkQueue with nowhere to wait runs what fits and refuses the rest", async () => {
  const queue = new WorkQueue({ atOnce: 1, waiting: 0, full });
  const a = makeWork([], "a");
  const run = queue.run(a.work);
  await assert.rejects(
    queue.run(async () => {}),
    { message: "full" },
  );
  a.end();
  assert.equal(await run, "a");
});

test("WorkQueue lets work together only weigh the capacity, and nothing overtakes the heavy one at the head", async () => {
  const queue = new WorkQueue({ atOnce: 9, waiting: 9, capacity: 10, full });
  const began: string[] = [];
  const [a, heavy, light] = [makeWork(began, "a"), makeWork(began, "heavy"), makeWork(began, "light")];
  const runs = [
    queue.run(a.work, { weight: 6 }),
    queue.run(heavy.work, { weight: 5 }),
    queue.run(light.work, { weight: 1 }),
  ];
  await turn();
  assert.deepEqual(began, ["a"]);
  a.end();
  await turn();
  assert.deepEqual(began, ["a", "heavy", "light"]);
  heavy.end();
  light.end();
  await Promise.all(runs);
});

test("WorkQueue runs what weighs more than the whole capacity alone", async () => {
  const queue = new WorkQueue({ atOnce: 2, waiting: 2, capacity: 10, full });
  const began: string[] = [];
  const [giant, next] = [makeWork(began, "giant"), makeWork(began, "next")];
  const runs = [queue.run(giant.work, { weight: 1000 }), queue.run(next.work, { weight: 1 })];
  await turn();
  assert.deepEqual(began, ["giant"]);
  giant.end();
  next.end();
  assert.deepEqual(await Promise.all(runs), ["giant", "next"]);
});

test("WorkQueue takes an aborted waiter out of the line and lets those behind it pass", async () => {
  const queue = new WorkQueue({ atOnce: 9, waiting: 2, capacity: 10, full });
  const began: string[] = [];
  const [a, heavy, light] = [makeWork(began, "a"), makeWork(began, "heavy"), makeWork(began, "light")];
  const abort = new AbortController();
  const first = queue.run(a.work, { weight: 6 });
  const second = queue.run(heavy.work, { weight: 9, signal: abort.signal });
  const third = queue.run(light.work, { weight: 1 });
  abort.abort(new Error("gone"));
  await assert.rejects(second, { message: "gone" });
  await turn();
  assert.deepEqual(began, ["a", "light"]);
  assert.equal(queue.waiting, 0);
  a.end();
  light.end();
  await Promise.all([first, third]);
});

test("WorkQueue never starts work whose signal is aborted already", async () => {
  const queue = new WorkQueue({ atOnce: 1, waiting: 1, full });
  const signal = AbortSignal.abort(new Error("gone"));
  await assert.rejects(
    queue.run(async () => assert.fail("it ran"), { signal }),
    { message: "gone" },
  );
  assert.equal(queue.running, 0);
});

test("WorkQueue frees the place of work that fails", async () => {
  const queue = new WorkQueue({ atOnce: 1, waiting: 1, full });
  const a = makeWork([], "a");
  const failed = queue.run(a.work);
  const next = queue.run(async () => "next");
  a.fail(new Error("broken"));
  await assert.rejects(failed, { message: "broken" });
  assert.equal(await next, "next");
});
