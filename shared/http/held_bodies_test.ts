import assert from "node:assert/strict";
import { test } from "node:test";
import { HeldBodies } from "./held_bodies.ts";

test("a body counts once for all who hold it, until the last has let it go", () => {
  const held = new HeldBodies({ maxBytes: 10, lostMs: 1_000 });
  const first = held.hold("a", 10, 0);
  const second = held.hold("a", 10, 0);
  assert.ok(first && second);
  first.shared.body = new Uint8Array(10);
  assert.equal(second.shared.body, first.shared.body);
  assert.equal(held.hold("b", 1, 0), undefined);
  first.release();
  first.release();
  assert.equal(held.hold("b", 1, 0), undefined, "a release counts once");
  second.release();
  const other = held.hold("b", 1, 0);
  assert.ok(other);
  assert.equal(held.hold("a", 10, 0), undefined);
  other.release();
  assert.equal(held.hold("a", 10, 0)?.shared.body, undefined, "nothing is kept that nobody holds");
});

test("what nobody has taken for long makes room, and does not come back to be counted twice", () => {
  const held = new HeldBodies({ maxBytes: 10, lostMs: 1_000 });
  const lost = held.hold("a", 6, 0);
  held.hold("a", 6, 500);
  assert.equal(held.hold("b", 6, 1_500), undefined);
  assert.ok(held.hold("b", 6, 1_501));
  lost?.release();
  assert.equal(held.hold("c", 6, 1_502), undefined);
  assert.ok(held.hold("c", 4, 1_502));
});
