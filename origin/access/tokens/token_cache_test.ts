import assert from "node:assert/strict";
import { test } from "node:test";
import { TokenCache } from "./token_cache.ts";

const NAMES = { key: "key", tokenHash: "hash" };
const IDENTITY = { userId: "@a:example.org", isGuest: false, note: undefined, expiresAt: 10 };

test("what is cleared is forgotten, also what was being asked for at that moment, and nothing that is asked afterwards", () => {
  const cache = new TokenCache({ clock: () => 1, steady: () => 1 });
  assert.equal(cache.put(NAMES, IDENTITY, { begun: cache.begin(), untilMs: 10 }), true);
  const begun = cache.begin();
  cache.clear();
  assert.equal(cache.get("key"), undefined);
  assert.notEqual(cache.begin(), begun, "nobody joins a question from before");
  assert.equal(cache.put(NAMES, IDENTITY, { begun, untilMs: 10 }), false);
  assert.equal(cache.get("key"), undefined);
  assert.equal(cache.put(NAMES, IDENTITY, { begun: cache.begin(), untilMs: 10 }), true);
  assert.deepEqual(cache.get("key"), IDENTITY);
});
