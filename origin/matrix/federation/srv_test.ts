import assert from "node:assert/strict";
import { test } from "node:test";
import { orderSrv } from "./srv.ts";

const record = (name: string, priority: number, weight: number, port = 8448) => ({ name, priority, weight, port });

test("smaller priorities come first", () => {
  const ordered = orderSrv([record("c", 30, 0), record("a", 10, 0), record("b", 20, 99)], () => 0.5);
  assert.deepEqual(ordered, [
    { host: "a", port: 8448 },
    { host: "b", port: 8448 },
    { host: "c", port: 8448 },
  ]);
});

test("within a priority the first is drawn in proportion to the weights", () => {
  const first: Record<string, number> = {};
  for (let draw = 0; draw < 1000; draw += 1) {
    const [target] = orderSrv(
      [record("heavy", 1, 75), record("light", 1, 25), record("none", 1, 0)],
      () => (draw + 0.5) / 1000,
    );
    first[target?.host ?? ""] = (first[target?.host ?? ""] ?? 0) + 1;
  }
  assert.deepEqual(first, { light: 250, heavy: 750 });
  assert.equal(orderSrv([record("light", 1, 25), record("none", 1, 0)], () => 0)[0]?.host, "none");
});

test("every usable record is kept once, others are left out, and there are at most eight", () => {
  const odd = [
    record(".", 1, 1),
    record("", 1, 1),
    record("a.example.", 1, 1),
    record("1.2.3.4", 1, 1),
    record("b", 1, 1, 0),
  ];
  assert.deepEqual(orderSrv(odd, Math.random), [{ host: "a.example", port: 8448 }]);
  const many = Array.from({ length: 50 }, (_, index) => record(`h${index}`, 1, index));
  const hosts = orderSrv(many, Math.random).map(({ host }) => host);
  assert.equal(hosts.length, 8);
  assert.equal(new Set(hosts).size, 8);
  assert.deepEqual(orderSrv([], Math.random), []);
});
