import assert from "node:assert/strict";
import { test } from "node:test";
import { type FailureKind, isFailure } from "../../../shared/matrix/failure.ts";
import { FetchError } from "../../net/fetch_error.ts";
import { openEnvelope } from "./media_envelope.ts";

const METADATA = "--b\r\nContent-Type: application/json\r\n\r\n{}\r\n";
const MEDIA = `${METADATA}--b\r\nContent-Type: text/plain\r\n`;
const WHOLE = `${MEDIA}\r\nhello\r\n--b--\r\n`;
const KIB = 1024;

interface Source {
  stream: ReadableStream<Uint8Array>;
  taken: number;
  isCancelled: boolean;
}

/** A body that is read piece by piece; `end` throws where it breaks off instead of ending. */
function sourceOf(pieces: Iterable<string>, end = () => {}): Source {
  const iterator = pieces[Symbol.iterator]();
  const source: Source = {
    taken: 0,
    isCancelled: false,
    stream: new ReadableStream(
      {
        pull(controller) {
          const { done, value } = iterator.next();
          if (done) {
            end();
            return controller.close();
          }
          source.taken += value.length;
          return controller.enqueue(new TextEncoder().encode(value));
        },
        cancel() {
          source.isCancelled = true;
        },
      },
      { highWaterMark: 0 },
    ),
  };
  return source;
}

function* forever(head: string, piece: string): Generator<string> {
  yield head;
  for (;;) yield piece;
}

const breaksOff = () => {
  throw new FetchError("broken", "cut short");
};

async function read({ stream }: Source, maxBytes = 1_000_000_000): Promise<string> {
  const content = await openEnvelope(stream, "b", maxBytes);
  assert.ok(content.kind === "media");
  let text = "";
  for await (const chunk of content.body) text += Buffer.from(chunk).toString();
  return text;
}

const failsWith = (kind: FailureKind) => (error: unknown) => isFailure(error, kind);

test("a part that is longer than it announces fails at the first byte too many", async () => {
  const source = sourceOf(forever(`${MEDIA}Content-Length: 10\r\n\r\n`, "0123456789abcdef"));
  await assert.rejects(read(source), failsWith("peer_failed"));
  assert.ok(source.taken < KIB, `${source.taken} bytes were taken`);
  assert.ok(source.isCancelled);
});

test("what follows the media is read to its end, and does not belong to it", async () => {
  for (const rest of ["", "\r\n", "an epilogue", "x".repeat(60 * KIB)]) {
    const source = sourceOf([WHOLE, rest]);
    assert.equal(await read(source), "hello");
    assert.equal(source.taken, WHOLE.length + rest.length);
  }
  const third = sourceOf([`${MEDIA}\r\nhello\r\n--b\r\nX: y\r\n\r\n`, "more\r\n--b--"]);
  assert.equal(await read(third), "hello");
});

test("an answer that breaks off after the media was cut short all the same", async () => {
  for (const pieces of [[WHOLE], [WHOLE, "an epi"], [`${MEDIA}\r\nhello\r\n--b\r\nX: `]]) {
    await assert.rejects(read(sourceOf(pieces, breaksOff)), failsWith("peer_failed"));
  }
});

test("what follows the media is not read without end", async () => {
  const source = sourceOf(forever(WHOLE, "x".repeat(KIB)));
  await assert.rejects(read(source), failsWith("peer_failed"));
  assert.ok(source.taken < 70 * KIB, `${source.taken} bytes were taken`);
  assert.ok(source.isCancelled);
});

test("media without an announced length is bounded by what may come", async () => {
  const source = sourceOf(forever(`${MEDIA}\r\n`, "x".repeat(100)));
  await assert.rejects(read(source, 1000), failsWith("peer_too_large"));
  assert.ok(source.taken < 2 * KIB, `${source.taken} bytes were taken`);
});
