import assert from "node:assert/strict";
import { test } from "node:test";
import { holdLast, publicationOf, withinWait } from "./publication.ts";

async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

async function textOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of bytes) text += String(chunk);
  return text;
}

test("all but the last chunk is passed on at once, and the last when the publication is over", async () => {
  const { promise: published, resolve } = Promise.withResolvers<void>();
  const held = holdLast(chunks("one ", "two ", "three"), publicationOf(published, 60_000));
  const first = [await held.next(), await held.next()].map(({ value }) => String(value));
  assert.deepEqual(first, ["one ", "two "]);
  let isOver = false;
  const last = held.next().then(({ value }) => ({ isOver, text: String(value) }));
  setImmediate(() => {
    isOver = true;
    resolve();
  });
  assert.deepEqual(await last, { isOver: true, text: "three" });
  assert.equal((await held.next()).done, true);
});

test("a publication that fails or takes too long holds nobody up", async () => {
  const failed = publicationOf(Promise.reject(new Error("no bucket")), 60_000);
  const endless = publicationOf(new Promise<never>(() => undefined), 1);
  for (const publication of [failed, endless]) assert.equal(await textOf(holdLast(chunks("one"), publication)), "one");
  await withinWait(undefined);
});
