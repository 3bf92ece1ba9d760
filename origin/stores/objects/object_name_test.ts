import assert from "node:assert/strict";
import { test } from "node:test";
import { objectName, parseObjectName } from "./object_name.ts";

const SHA256 = "0123456789abcdef".repeat(4);

test("parseObjectName reads what objectName wrote, wherever the slashes are", () => {
  const name = objectName(SHA256, 4711);
  for (const location of [name, `${name.slice(0, 2)}/${name.slice(2, 4)}/${name.slice(4)}`, `0/${name.slice(1)}`]) {
    assert.deepEqual(parseObjectName(location), { sha256: SHA256, generation: 4711 });
  }
});

test("parseObjectName knows what is not ours: matrix-media-repo's names, the edge's keys, anything else", () => {
  const others = [
    "ab/cd/ef0123456789abcdef0123456789abcdef012345671859371926419312640idv2fmt",
    "0123456789abcdef0123456789abcdef01234567",
    `b/${SHA256}-1`,
    `a/${SHA256}`,
    `${SHA256}-`,
    `${SHA256}-1.copy`,
    `${SHA256.toUpperCase()}-1`,
    "",
  ];
  for (const location of others) assert.equal(parseObjectName(location), undefined, location);
});
