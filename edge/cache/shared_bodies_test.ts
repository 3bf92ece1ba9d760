import assert from "node:assert/strict";
import { test } from "node:test";
import { SHARED_BODY_BYTES, SharedBodies, type SharedBody } from "./shared_bodies.ts";

const MINUTE = 60_000;
const LARGE = SHARED_BODY_BYTES;

/** A bucket with a body of every length, by the name of its key: "a 5" has five bytes. */
function stage() {
  const opened: string[] = [];
  const bodies = new SharedBodies({
    async readBody(key) {
      opened.push(key);
      const [kind, size] = key.split(" ");
      if (kind === "absent") return undefined;
      if (kind === "broken") throw new Error("the bucket is broken");
      const length = Number(size);
      const bytes = new Response(new Uint8Array(length)).body as ReadableStream<Uint8Array>;
      return { bytes, totalBytes: length };
    },
  });
  const keepAlive = (work: Promise<unknown>) => void work.catch(() => undefined);
  const share = (key: string, bytes: number, nowMs = 0) => bodies.share(key, bytes, nowMs, keepAlive);
  const shareFour = () => Promise.all(["a", "b", "c", "d"].map((name) => share(`${name} ${LARGE}`, LARGE)));
  return { opened, share, shareFour };
}

const areShared = (bodies: readonly (SharedBody | undefined)[]) => bodies.map((body) => body !== undefined);

test("a body is read once for all who want it, also while one of them still sends it", async () => {
  const { opened, share } = stage();
  const key = `a ${LARGE}`;
  const all = await Promise.all(Array.from({ length: 50 }, () => share(key, LARGE)));
  const slow = all.pop();
  for (const one of all) one?.release();
  const late = await share(key, LARGE, MINUTE);
  assert.equal(late?.bytes, slow?.bytes);
  assert.deepEqual(opened, [key]);
  slow?.release();
  late?.release();
  await share(key, LARGE);
  assert.deepEqual(opened, [key, key], "nothing large is kept that nobody needs");
});

test("a small body is kept a little longer", async () => {
  const { opened, share } = stage();
  for (let round = 0; round < 3; round += 1) (await share("thumb 1000", 1_000))?.release();
  assert.deepEqual(opened, ["thumb 1000"]);
});

test("a body that is absent, broken, or not as long as it should be is shared with nobody", async () => {
  const { share } = stage();
  assert.equal(await share("absent 5", 5), undefined);
  assert.equal(await share("other 6", 5), undefined);
  await assert.rejects(share("broken 5", 5), /broken/);
});

test("what is still being sent bounds what is shared: beyond it everybody reads for himself", async () => {
  const { share, shareFour } = stage();
  const four = await shareFour();
  assert.deepEqual(areShared(four), [true, true, true, true]);
  assert.equal(await share("e 1000", 1_000), undefined);
  assert.deepEqual(areShared(await shareFour()), [true, true, true, true], "what is there already costs no more");
  four[3]?.release();
  assert.equal(await share("e 1000", 1_000), undefined, "another still sends it");
});

test("what was sent makes room, and so does what could not be had", async () => {
  const { share, shareFour } = stage();
  for (let round = 0; round < 100; round += 1) {
    await share(`absent ${LARGE}`, LARGE);
    await share(`broken ${LARGE}`, LARGE).catch(() => undefined);
  }
  const four = await shareFour();
  four[3]?.release();
  assert.deepEqual(areShared([...four, await share(`e ${LARGE}`, LARGE)]), [true, true, true, true, true]);
  assert.equal(await share("f 1000", 1_000), undefined);
});

test("what nobody ever says to be sent is forgotten", async () => {
  const { share, shareFour } = stage();
  await shareFour();
  assert.equal(await share("e 1000", 1_000, 10 * MINUTE), undefined);
  assert.deepEqual(areShared([await share("e 1000", 1_000, 10 * MINUTE + 1)]), [true]);
});
