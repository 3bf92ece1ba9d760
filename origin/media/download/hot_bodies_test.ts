import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { HotBodies, type HotBodiesOptions } from "./hot_bodies.ts";
import type { Servable } from "./servable.ts";

const SIGNAL = new AbortController().signal;
let nowMs = 0;

function make(more: Partial<HotBodiesOptions> = {}): HotBodies {
  const options = { maxBytes: 10_000, maxBodyBytes: 5_000, minDownloads: 2, trackedMs: 60_000 };
  return new HotBodies({ clock: () => nowMs, ...options, ...more });
}

/** A media whose object is read from a stream, and how often it was. */
function media(size: number): { readonly servable: Servable; readonly bytes: Buffer; opened: number } {
  const bytes = randomBytes(size);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const made = {
    bytes,
    opened: 0,
    servable: {
      media: { kind: "download", type: "text/plain", size, sha256, created: 0 },
      async open(slice: { offset: number; length: number } | undefined) {
        made.opened += 1;
        const { offset, length } = slice ?? { offset: 0, length: size };
        return new Response(bytes.subarray(offset, offset + length)).body ?? undefined;
      },
    } satisfies Servable,
  };
  return made;
}

/** Reads a body, whichever way it was opened, and closes it. */
async function take(hot: HotBodies, { servable }: { servable: Servable }, slice?: { offset: number; length: number }) {
  const body = await hot.open(servable, slice, SIGNAL);
  assert.ok(body);
  if (!("read" in body)) return Buffer.from(await new Response(body).arrayBuffer());
  const { offset, length } = slice ?? { offset: 0, length: servable.media.size };
  const read = Buffer.from(await body.read(offset, length));
  body.close();
  return read;
}

describe("hot bodies", () => {
  test("from the second download on, a body comes from memory, and slices of it too", async () => {
    const [hot, one] = [make(), media(1_000)];
    for (const _nth of [1, 2, 3, 4]) assert.ok((await take(hot, one)).equals(one.bytes));
    assert.ok((await take(hot, one, { offset: 10, length: 5 })).equals(one.bytes.subarray(10, 15)));
    assert.equal(one.opened, 2);
  });

  test("a store that breaks off while a body is read to be kept is asked once more", async () => {
    const [hot, one] = [make(), media(1_000)];
    await take(hot, one);
    const { open } = one.servable;
    one.servable.open = async () => {
      one.servable.open = open;
      return new ReadableStream<Uint8Array<ArrayBuffer>>({
        pull(controller) {
          controller.error(new Error("the store broke off"));
        },
      });
    };
    assert.ok((await take(hot, one)).equals(one.bytes));
    await take(hot, one);
    const opened = one.opened;
    await take(hot, one);
    assert.equal(one.opened, opened, "and the body is kept the next time");
  });

  test("a slice makes all of it known", async () => {
    const [hot, one] = [make(), media(1_000)];
    for (const offset of [1, 2, 3]) {
      assert.ok((await take(hot, one, { offset, length: 5 })).equals(one.bytes.subarray(offset, offset + 5)));
    }
    assert.equal(one.opened, 2);
  });

  test("downloads that lie longer apart than they are counted keep nothing", async () => {
    const [hot, one] = [make(), media(1_000)];
    for (const _nth of [1, 2, 3]) {
      await take(hot, one);
      nowMs += 60_000;
    }
    assert.equal(one.opened, 3);
  });

  test("whoever reads everything once drives nothing out", async () => {
    const [hot, one] = [make(), media(4_000)];
    for (const _nth of [1, 2]) await take(hot, one);
    for (const each of Array.from({ length: 50 }, () => media(4_000))) await take(hot, each);
    await take(hot, one);
    assert.equal(one.opened, 2);
  });

  test("no more than its share is kept, and what is longest out of use goes first", async () => {
    const hot = make();
    const all = Array.from({ length: 5 }, () => media(4_000));
    for (const one of all) for (const _nth of [1, 2]) await take(hot, one);
    for (const one of all.toReversed()) await take(hot, one);
    assert.deepEqual(
      all.map(({ opened }) => opened),
      [3, 3, 3, 2, 2],
    );
  });

  test("bodies that are being sent count until they are taken; past the share they come from their store", async () => {
    const [hot, one, other, third] = [make(), media(5_000), media(4_999), media(4_000)];
    for (const each of [one, other]) await take(hot, each);
    const sent = [await hot.open(one.servable, undefined, SIGNAL), await hot.open(other.servable, undefined, SIGNAL)];
    assert.ok(sent.every((body) => body && "read" in body));
    for (const _nth of [1, 2, 3]) assert.ok((await take(hot, third)).equals(third.bytes));
    const before = third.opened;
    for (const body of sent) if (body && "read" in body) body.close();
    for (const _nth of [1, 2, 3]) await take(hot, third);
    assert.equal(third.opened, before + 1, "it is read once more, to be kept");
  });

  test("large bodies are left alone, and all are where it is switched off", async () => {
    for (const [hot, one] of [
      [make(), media(5_001)],
      [make({ maxBytes: 0 }), media(10)],
    ] as const) {
      for (const _nth of [1, 2, 3]) await take(hot, one);
      assert.equal(one.opened, 3);
    }
  });

  test("an object that is not there stays so", async () => {
    const hot = make();
    const servable = { ...media(10).servable, open: async () => undefined };
    for (const _nth of [1, 2, 3]) assert.equal(await hot.open(servable, undefined, SIGNAL), undefined);
  });
});
