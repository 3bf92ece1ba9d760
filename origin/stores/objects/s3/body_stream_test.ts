import assert from "node:assert/strict";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isFailure } from "../../../../shared/matrix/failure.ts";
import { type BodyStreamOptions, bodyStream } from "./body_stream.ts";
import { Seats } from "./seats.ts";

const seats = new Seats({ atOnce: 100, restMs: 60_000, full: () => new Error("no seat") });

/** The client is told that it passes; the log, what really happened. */
const unavailable = (cause: RegExp) => (thrown: unknown) =>
  isFailure(thrown, "unavailable") && cause.test(String(thrown.cause));

function streamOf(body: Readable, length: number, more: Partial<BodyStreamOptions> = {}) {
  return bodyStream(body, { length, signal: new AbortController().signal, seat: seats.take(), ...more });
}

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
  const stream = streamOf(body, 13);
  await sleep(5);
  assert.equal(given, 0);
  assert.equal(await new Response(stream).text(), "one two three");
});

test("bodyStream fails when the body has fewer or more bytes than it must have", async () => {
  for (const [length, error] of [
    [5, /2 fewer/],
    [2, /more/],
    [0, /more/],
  ] as const) {
    const body = Readable.from([Buffer.from("one")]);
    await assert.rejects(new Response(streamOf(body, length)).text(), unavailable(error));
    assert.ok(body.destroyed);
  }
  assert.equal(await new Response(streamOf(Readable.from([]), 0)).text(), "");
});

test("bodyStream gives up on a body that has gone silent while somebody asks, not while nobody does", async () => {
  const body = new PassThrough();
  const reader = streamOf(body, 100, { silenceMs: 500 }).getReader();
  body.write("first");
  await sleep(600);
  assert.equal(String((await reader.read()).value), "first");
  await sleep(600);
  body.write("second");
  assert.equal(String((await reader.read()).value), "second");
  await assert.rejects(reader.read(), /silent/);
  assert.ok(body.destroyed);
});

test("bodyStream lets go of the body on cancel, on abort, and when its seat is given to another", async () => {
  const cancelled = new PassThrough();
  await streamOf(cancelled, 1).cancel();
  assert.ok(cancelled.destroyed);

  const aborted = new PassThrough();
  const abort = new AbortController();
  const reading = streamOf(aborted, 1, { signal: abort.signal }).getReader().read();
  abort.abort(new Error("the client left"));
  await assert.rejects(reading, /the client left/);
  assert.ok(aborted.destroyed);

  const few = new Seats({ atOnce: 1, restMs: 1, full: () => new Error("no seat") });
  const paused = new PassThrough();
  const reader = streamOf(paused, 1, { seat: few.take() }).getReader();
  await sleep(20);
  few.take();
  await assert.rejects(reader.read(), /Gave way/);
  assert.ok(paused.destroyed);
});

test("bodyStream gives its seat back at the end, on cancel and on error", async () => {
  const before = seats.taken;
  await new Response(streamOf(Readable.from([Buffer.from("x")]), 1)).text();
  await streamOf(new PassThrough(), 1).cancel();
  const broken = new PassThrough();
  const stream = streamOf(broken, 1);
  broken.destroy(new Error("ECONNRESET"));
  await assert.rejects(new Response(stream).text(), unavailable(/the store broke off/));
  for (let tries = 0; tries < 3_000 && seats.taken > before; tries += 1) await sleep(10);
  assert.equal(seats.taken, before);
});
