import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { passing } from "../../support/clocks.ts";
import { ask, type Heard, jsonOf } from "../../support/http.ts";
import { newUser, originForFile, stackForFile, startLone } from "../uploads/stage.ts";

const VERSIONS = "/_matrix/client/versions";
const stack = stackForFile();

for (const tier of ["origin", "edge"] as const) {
  const base = () => stack().tiers[tier];

  describe(`versions through the ${tier}`, () => {
    test("#221 #222 are those of the homeserver, with authenticated media and what else this service brings", async () => {
      const heard = await ask(base(), VERSIONS);
      assert.equal(heard.status, 200);
      assert.equal(heard.headers["access-control-allow-origin"], "*");
      assert.deepEqual(jsonOf(heard), {
        versions: ["v1.10", "v1.11"],
        unstable_features: {
          "org.example": true,
          "org.matrix.msc3916.stable": true,
          "fi.mau.msc2246": true,
          "org.matrix.msc4034": true,
        },
      });
    });

    test("the version of this service is told to anybody, at any host", async () => {
      const { version } = JSON.parse(await readFile(new URL("../../../package.json", import.meta.url), "utf8"));
      const heard = await ask(base(), "/_matrix/media/version", { headers: { host: "nobody.example.com" } });
      assert.equal(heard.status, 200);
      const { Version, GitCommit, unstable_features } = jsonOf(heard);
      assert.equal(Version, version);
      assert.equal(typeof GitCommit, "string");
      assert.deepEqual(unstable_features, {});
    });
  });
}

describe("versions", () => {
  let aheadMs = 0;
  const lone = originForFile({ overrides: passing(() => aheadMs) });
  const asked = () => lone().homeserver.asked.filter((path) => path === VERSIONS).length;

  test("are asked for once for many at once, and again after a minute; with a token on its own", async () => {
    const before = asked();
    const token = newUser(lone().homeserver);
    const all = await Promise.all(Array.from({ length: 10 }, () => ask(lone().url, VERSIONS)));
    assert.ok(all.every((heard) => heard.status === 200));
    await ask(lone().url, VERSIONS);
    assert.equal(asked(), before + 1);
    await ask(lone().url, VERSIONS, { token });
    assert.equal(asked(), before + 2);
    aheadMs += 61_000;
    await ask(lone().url, VERSIONS);
    assert.equal(asked(), before + 3);
  });

  test("#15 of a homeserver that is down are 502 or 503, and not remembered as that", async (t) => {
    const { url, homeserver } = await startLone(t);
    homeserver.answer = { status: 500, body: {} };
    isOutage(await ask(url, VERSIONS));
    homeserver.answer = undefined;
    assert.equal((await ask(url, VERSIONS)).status, 200);
    await homeserver.close();
    isOutage(await ask(url, VERSIONS, { token: "another" }));
  });
});

function isOutage(heard: Heard): void {
  assert.ok(heard.status === 502 || heard.status === 503, String(heard.status));
  assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
  assert.match(heard.headers["retry-after"] ?? "", /^[0-9]+$/);
}
