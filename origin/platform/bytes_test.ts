import assert from "node:assert/strict";
import { test } from "node:test";
import { limitBytes, readBytes } from "./bytes.ts";

const exceeded = () => new Error("too much");

function source(sizes: number[], onEnd = () => {}): ReadableStream<Uint8Array> {
  const left = [...sizes];
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const size = left.shift();
      if (size === undefined) return controller.close();
      controller.enqueue(new Uint8Array(size));
    },
    cancel: onEnd,
  });
}

async function count(stream: AsyncIterable<Uint8Array>): Promise<number> {
  let sum = 0;
  for await (const chunk of stream) sum += chunk.byteLength;
  return sum;
}

test("limitBytes lets exactly max bytes pass", async () => {
  assert.equal(await count(limitBytes(source([3, 7]), 10, exceeded)), 10);
});

test("limitBytes throws the given error at the first byte too many and lets its source go", async () => {
  let cancelled = false;
  const limited = limitBytes(
    source([6, 5, 1000], () => {
      cancelled = true;
    }),
    10,
    exceeded,
  );
  await assert.rejects(count(limited), /too much/);
  assert.equal(cancelled, true);
});

test("readBytes gives all of them, or the given error", async () => {
  assert.equal((await readBytes(source([3, 7]), 10, exceeded)).byteLength, 10);
  assert.equal((await readBytes(source([]), 0, exceeded)).byteLength, 0);
  await assert.rejects(readBytes(source([3, 8]), 10, exceeded), /too much/);
});
