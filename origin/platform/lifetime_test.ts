import assert from "node:assert/strict";
import { test } from "node:test";
import { Closing } from "./lifetime.ts";

test("the last is closed first, and everything once, whatever goes wrong", async () => {
  const closed: string[] = [];
  const closing = new Closing();
  const step = (name: string) => async () => {
    await new Promise((resolve) => setImmediate(resolve));
    closed.push(name);
  };
  closing.push(step("database"));
  closing.push(() => {
    throw new Error("thrown");
  });
  closing.push(step("cache"));
  closing.push(() => Promise.reject(new Error("rejected")));
  closing.push(() => closed.push("bucket"));
  await assert.rejects(closing.close(), /^Error: rejected$/);
  assert.deepEqual(closed, ["bucket", "cache", "database"]);
  await assert.rejects(closing.close(), /^Error: rejected$/);
  assert.deepEqual(closed, ["bucket", "cache", "database"], "each once");
});
