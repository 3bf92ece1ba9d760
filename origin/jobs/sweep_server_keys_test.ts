import assert from "node:assert/strict";
import { test } from "node:test";
import { makeSweepServerKeys } from "./sweep_server_keys.ts";

const NOW = 1_700_000_000_000;
const DAY = 24 * 3_600_000;
const { signal } = new AbortController();

test("old keys go; young ones, tombstones and what is no document stay", async () => {
  const objects = [
    { key: "k/a/old", modifiedMs: NOW - DAY, document: { gen: 3 } },
    { key: "k/a/young", modifiedMs: NOW - DAY + 1, document: { gen: 4 } },
    { key: "k/a/of_unknown_age", modifiedMs: Number.POSITIVE_INFINITY, document: { gen: 5 } },
    { key: "k/a/withdrawn", modifiedMs: NOW - DAY, document: { gen: 6, gone: true as const } },
    { key: "k/a/broken", modifiedMs: NOW - DAY, document: undefined },
    { key: "k/b/old", modifiedMs: 0, document: { gen: 7 } },
  ];
  const removed: [string, number][] = [];
  const sweep = makeSweepServerKeys({
    clock: () => NOW,
    bucket: {
      async *listServerKeys() {
        yield* objects;
      },
      readDocument: async (key) => objects.find((one) => one.key === key)?.document,
      removeDocument: async (key, generation) => void removed.push([key, generation]),
    },
    minAgeMs: DAY,
  });
  assert.equal(await sweep(signal), 2);
  assert.deepEqual(removed, [
    ["k/a/old", 3],
    ["k/b/old", 7],
  ]);
});
