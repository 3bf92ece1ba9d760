import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";
import { startService } from "./service.ts";
import { soak } from "./soak.ts";

/** `npm run soak`, for some seconds. */
describe("rude clients", { timeout: 240_000 }, () => {
  const lifetime = lifetimeOfSuite();

  test("end no process of both tiers, leave nothing behind, and take nothing that was acknowledged", async (t) => {
    const violations = await soak(await startService(lifetime, "pglite"), {
      ...{ seed: 7, durationMs: 5_000, warmUpMs: 1_500, lanes: 10, crowd: 30, kills: 0, attackMs: 0 },
      ...{ photo: await makePhoto(320, 240), print: (line: string) => t.diagnostic(line) },
    });
    assert.deepEqual(violations, []);
  });
});
