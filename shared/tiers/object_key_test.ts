import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { bodyKey, descriptorKey, signingKeyKey, thumbnailKey, verdictKey } from "./object_key.ts";

const mxc = { serverName: "example.org:8448", mediaId: "Abc" };

test("keys are laid out as the design says", () => {
  assert.equal(bodyKey("ab12", 7), "b/ab12-7");
  assert.equal(descriptorKey(mxc), "d/example.org:8448/Abc");
  const spec = { width: 96, height: 96, method: "crop", animated: false, format: "auto" } as const;
  assert.equal(thumbnailKey(mxc, spec), "d/example.org:8448/Abc/t/96x96-crop");
  assert.equal(signingKeyKey("example.org", "ed25519:1"), "k/example.org/ed25519:1");
});

test("a verdict's key is a hash: the token can't be read from it", async () => {
  const key = await verdictKey({ host: "Example.ORG", token: "s3cret", userId: "@é:x" });
  const expected = createHash("sha256").update("11:example.org6:s3cret4:@é:x-").digest("hex");
  assert.equal(key, `a/${expected}`);
});

test("whatever decides about a verdict changes its key, but for the case of the host", async () => {
  const who = { host: "a.b", token: "t", userId: "u", deviceId: "d" };
  const others = [
    ...[who, { ...who, host: "a.c" }, { ...who, token: "T" }, { ...who, userId: "v" }, { ...who, deviceId: "e" }],
    ...[
      { ...who, userId: undefined },
      { ...who, deviceId: undefined },
      { ...who, userId: "" },
    ],
    ...[
      { ...who, userId: "ud", deviceId: "" },
      { ...who, userId: "u1:d", deviceId: undefined },
      { ...who, token: "t1:u" },
    ],
  ];
  const keys = await Promise.all(others.map(verdictKey));
  assert.equal(new Set(keys).size, others.length);
  assert.equal(await verdictKey({ ...who, host: "A.B" }), keys[0]);
});
