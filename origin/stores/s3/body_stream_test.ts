import assert from "node:assert/strict";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { bodyStream } from "./body_stream.ts";

const SIGNAL = new AbortController().signal;

test("bodyStream gives what the body gives, and nothing before it is asked", async () => {
  let given = 0;
  const body = Readable.from(
    (async function* () {
      for (const text of ["one ", "two ", "three"]) {
        given += 1;
        yield Buffer.from(text);
      }
    })(),
    { highWaterMark: 1 },
  );
  const stream = bodyStream(body, SIGNAL);
  await sleep(5);
  assert.equal(given, 0);
  assert.equal(await new Response(stream).text(), "one two three");
});

test("bodyStream gives up on a body that has gone silent while somebody asks, not while nobody does", async () => {
  const body = new PassThrough();
  const reader = bodyStream(body, SIGNAL, 20).getReader();
  body.write("first");
  await sleep(60);
  assert.equal(String((await reader.read()).value), "first");
  await sleep(60);
  body.write("second");
  assert.equal(String((await reader.read()).value), "second");
  await assert.rejects(reader.read(), /silent/);
  assert.ok(body.destroyed);
});

test("bodyStream lets go of the body on cancel and on abort", async () => {
  const [cancelled, aborted] = [new PassThrough(), new PassThrough()];
  await bodyStream(cancelled, SIGNAL).cancel();
  assert.ok(cancelled.destroyed);
  const abort = new AbortController();
  const reader = bodyStream(aborted, abort.signal).getReader();
  const reading = reader.read();
  abort.abort(new Error("the client left"));
  await assert.rejects(reading, /the client left/);
  assert.ok(aborted.destroyed);
});
