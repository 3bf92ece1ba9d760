import assert from "node:assert/strict";
import { test } from "node:test";
import { closeAll } from "./app_closing.ts";

test("closeAll closes the last first, and everything, whatever goes wrong", async () => {
  const closed: string[] = [];
  const closing = (name: string) => async () => {
    await new Promise((resolve) => setImmediate(resolve));
    closed.push(name);
  };
  const closers = [
    closing("database"),
    () => {
      throw new Error("thrown");
    },
    closing("cache"),
    () => Promise.reject(new Error("rejected")),
    () => closed.push("bucket"),
  ];
  await assert.rejects(closeAll(closers), /^Error: rejected$/);
  assert.deepEqual(closed, ["bucket", "cache", "database"]);
  await closeAll(closers);
  assert.deepEqual(closed, ["bucket", "cache", "database"], "each once");
});
