import assert from "node:assert/strict";
import { test } from "node:test";
import { drain } from "./work_queue.ts";

/** A list of so many pieces, numbered from 0, whose work is `work`. */
function listOf(count: number, work: (piece: number) => Promise<void>) {
  const left = new Set(Array.from({ length: count }, (_, piece) => piece));
  const retryLaterd = new Set<number>();
  const list = {
    due: async (limit: number) => [...left].filter((piece) => !retryLaterd.has(piece)).slice(0, limit),
    work: async (piece: number) => {
      await work(piece);
      left.delete(piece);
    },
    retryLater: async (piece: number) => void retryLaterd.add(piece),
  };
  return { left, retryLaterd, list };
}

const never = new AbortController().signal;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test("drain does all that is due, page after page, the first first, and a few at once", async () => {
  const begun: number[] = [];
  let running = 0;
  let most = 0;
  const { left, list } = listOf(1_001, async (piece) => {
    begun.push(piece);
    running += 1;
    most = Math.max(most, running);
    await turn();
    running -= 1;
  });
  assert.equal(await drain(list, never), 1_001);
  assert.equal(left.size, 0);
  assert.deepEqual(begun, [...begun.keys()]);
  assert.ok(most > 1 && most < 20, String(most));
});

test("drain retryLaters what fails, and does all the rest", async () => {
  const { left, retryLaterd, list } = listOf(1_000, async (piece) => {
    if (piece % 7 === 0) throw new Error("broken");
  });
  assert.equal(await drain(list, never), 857);
  assert.deepEqual(left, retryLaterd);
});

test("drain gives up where everything fails", async () => {
  let tried = 0;
  const { list } = listOf(1_000, async () => {
    tried += 1;
    throw new Error("broken");
  });
  assert.equal(await drain(list, never), 0);
  assert.ok(tried < 1_000, String(tried));
});

test("drain ends soon when it is told to, and retryLaters nothing for that", async () => {
  const stop = new AbortController();
  let begun = 0;
  const { left, retryLaterd, list } = listOf(1_000, async () => {
    begun += 1;
    if (begun === 20) stop.abort(new Error("enough"));
    await turn();
    stop.signal.throwIfAborted();
  });
  const done = await drain(list, stop.signal);
  assert.ok(begun < 40, String(begun));
  assert.equal(left.size, 1_000 - done);
  assert.equal(retryLaterd.size, 0);
});

test("drain throws what the list itself throws", async () => {
  const { list } = listOf(1, async () => {
    throw new Error("broken");
  });
  const gone = async () => {
    throw new Error("no database");
  };
  await assert.rejects(drain({ ...list, due: gone }, never), /no database/);
  await assert.rejects(drain({ ...list, retryLater: gone }, never), /no database/);
});
