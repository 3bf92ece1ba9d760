import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Seats } from "./seats.ts";

const full = () => new Error("no seat");

/** Takes a seat as soon as there is one. */
async function takeAtLast(seats: Seats) {
  for (let tries = 0; tries < 3_000; tries += 1) {
    try {
      return seats.take();
    } catch {
      await sleep(10);
    }
  }
  return seats.take();
}

test("as many sit as there are seats; the next is refused, until somebody leaves", () => {
  const seats = new Seats({ atOnce: 2, restMs: 60_000, full });
  const [one] = [seats.take(), seats.take()];
  assert.throws(() => seats.take(), /no seat/);
  one.leave();
  one.leave();
  seats.take();
  assert.equal(seats.taken, 2);
  assert.throws(() => seats.take(), /no seat/);
});

test("whoever rests too long gives way, the longest first, but only when a seat is wanted", async () => {
  const seats = new Seats({ atOnce: 3, restMs: 5, full });
  const [worker, first, second] = [seats.take(), seats.take(), seats.take()];
  worker.rests();
  worker.works();
  first.rests();
  await sleep(20);
  second.rests();
  await sleep(20);
  assert.ok(!first.signal.aborted && !second.signal.aborted, "nobody wants their seats");

  (await takeAtLast(seats)).works();
  assert.match(String(first.signal.reason), /Gave way/);
  assert.ok(!second.signal.aborted);
  (await takeAtLast(seats)).works();
  assert.ok(second.signal.aborted);
  assert.throws(() => seats.take(), /no seat/, "all work");
  assert.ok(!worker.signal.aborted);
  assert.equal(seats.taken, 3);
});

test("who has gone on, or has left, does not give way any more", async () => {
  const seats = new Seats({ atOnce: 1, restMs: 5, full });
  const one = seats.take();
  one.rests();
  await sleep(20);
  one.works();
  assert.throws(() => seats.take(), /no seat/);
  one.leave();
  one.rests();
  const next = seats.take();
  await sleep(20);
  assert.throws(() => seats.take(), /no seat/);
  next.leave();
  assert.equal(seats.taken, 0);
});
