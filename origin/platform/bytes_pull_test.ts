import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { type PullStreamOptions, pullStream } from "./bytes.ts";

/** A stream of pieces, and how often and why it ended. */
function streamOf(pieces: readonly (string | Error)[], options: Partial<PullStreamOptions> = {}) {
  const left = [...pieces];
  const ends: unknown[] = [];
  const giveUp = new AbortController();
  const stream = pullStream({
    async next() {
      const piece = left.shift();
      if (piece instanceof Error) throw piece;
      return piece === undefined ? undefined : Buffer.from(piece);
    },
    onEnd: (reason) => void ends.push(reason),
    signal: giveUp.signal,
    ...options,
  });
  return { stream, ends, giveUp, left };
}

test("reads nothing before it is asked, and all of it to the end, which is told once", async () => {
  const { stream, ends, giveUp, left } = streamOf(["ab", "cd"]);
  await new Promise(setImmediate);
  assert.equal(left.length, 2);
  assert.equal(await new Response(stream).text(), "abcd");
  assert.deepEqual(ends, [undefined]);
  assert.equal(getEventListeners(giveUp.signal, "abort").length, 0);
});

test("of a known length it ends with its last byte, and fails where bytes are missing", async () => {
  const whole = streamOf(["ab", "cd"], { length: 4 });
  const reader = whole.stream.getReader();
  await reader.read();
  await reader.read();
  assert.equal(whole.ends.length, 1);
  assert.equal((await reader.read()).done, true);
  const short = streamOf(["ab"], { length: 4 });
  await assert.rejects(new Response(short.stream).text(), /2 of 4 bytes are missing/);
  assert.equal(short.ends.length, 1);
  const empty = streamOf([new Error("must not be read")], { length: 0 });
  assert.equal(await new Response(empty.stream).text(), "");
});

test("an error of the reading fails it, whatever the clearing up throws", async () => {
  const { stream } = streamOf(["ab", new Error("broken")], {
    onEnd: () => Promise.reject(new Error("cannot be closed")),
  });
  await assert.rejects(new Response(stream).text(), /broken/);
});

test("a reader that cancels, and a signal that aborts, end it at once, also while it reads", async () => {
  const cancelled = streamOf(["ab"]);
  await cancelled.stream.cancel("enough");
  assert.deepEqual(cancelled.ends, ["enough"]);

  const never = streamOf([], { next: () => new Promise(() => {}) });
  const reading = never.stream.getReader().read();
  never.giveUp.abort(new Error("gone"));
  await assert.rejects(reading, /gone/);
  assert.match(String(never.ends[0]), /gone/);

  const late = streamOf(["ab"], { signal: AbortSignal.abort(new Error("too late")) });
  await assert.rejects(late.stream.getReader().read(), /too late/);
  assert.equal(late.ends.length, 1);
  assert.equal(late.left.length, 1);
});
