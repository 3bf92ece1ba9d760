import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApngFrame } from "./apng.ts";
import { ApngCanvas } from "./apng_canvas.ts";

const RED = [255, 0, 0, 255];
const BLUE = [0, 0, 255, 255];
const CLEAR = [0, 0, 0, 0];

function frame(changes: Partial<ApngFrame> = {}): ApngFrame {
  return { x: 0, y: 0, width: 2, height: 1, delayMs: 0, disposal: "keep", over: false, data: [], ...changes };
}

function canvas(): ApngCanvas {
  const made = new ApngCanvas(2, 1);
  made.draw(frame(), Buffer.from([...RED, ...RED]));
  return made;
}

test("ApngCanvas starts empty and replaces what a frame covers", () => {
  const made = new ApngCanvas(2, 1);
  made.draw(frame({ x: 1, width: 1 }), Buffer.from(BLUE));
  assert.deepEqual([...made.pixels], [...CLEAR, ...BLUE]);
  made.draw(frame({ width: 1 }), Buffer.from(CLEAR));
  assert.deepEqual([...made.pixels], [...CLEAR, ...BLUE]);
});

test("ApngCanvas clears or restores the region of a frame before the next is drawn", () => {
  const right = { x: 1, width: 1 };
  for (const [disposal, left] of [
    ["keep", BLUE],
    ["clear", CLEAR],
    ["restore", RED],
  ] as const) {
    const made = canvas();
    made.draw(frame({ width: 1, disposal }), Buffer.from(BLUE));
    assert.deepEqual([...made.pixels], [...BLUE, ...RED]);
    made.draw(frame(right), Buffer.from(BLUE));
    assert.deepEqual([...made.pixels], [...left, ...BLUE], disposal);
  }
});

test("ApngCanvas blends over what lies below", () => {
  const made = canvas();
  made.draw(frame({ over: true }), Buffer.from([0, 0, 255, 51, ...CLEAR]));
  assert.deepEqual([...made.pixels], [204, 0, 51, 255, ...RED]);
});

test("ApngCanvas blends alpha with alpha", () => {
  const made = new ApngCanvas(2, 1);
  made.draw(frame(), Buffer.from([200, 0, 0, 128, ...CLEAR]));
  made.draw(frame({ over: true }), Buffer.from([0, 0, 200, 128, 9, 9, 9, 128]));
  // 128/255 over 128/255 is 192/255; two thirds of the colour are the upper one's.
  assert.deepEqual([...made.pixels], [66, 0, 134, 192, 9, 9, 9, 128]);
});

test("ApngCanvas refuses pixels that do not fill the frame", () => {
  assert.throws(() => canvas().draw(frame(), Buffer.from(RED)), /wrong size/);
});
