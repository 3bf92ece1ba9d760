import assert from "node:assert/strict";
import { test } from "node:test";
import { toMatrixError } from "../../shared/http/failure_answer.ts";
import { isFailure } from "../../shared/matrix/failure.ts";

import { HOP_REFUSED_HEADER } from "../../shared/tiers/hop.ts";
import { answered, requireOrigin } from "./gateway.ts";

/** An answer with a body that nobody has read. */
function answer(status: number, headers: Record<string, string>) {
  const seen = { cancelled: false };
  const body = new ReadableStream({
    cancel() {
      seen.cancelled = true;
    },
  });
  return { response: new Response(body, { status, headers }), seen };
}

async function statusOf(work: Promise<unknown>): Promise<number | undefined> {
  const thrown = await work.catch((error: unknown) => error);
  return isFailure(thrown) ? toMatrixError(thrown).status : undefined;
}

const JSON_TYPE = { "content-type": "application/json" };

test("what is not the origin's own is refused, and its body let go", async () => {
  const cases: [number, Record<string, string>, number][] = [
    [502, { "content-type": "text/html" }, 502],
    [504, {}, 504],
    [521, JSON_TYPE, 502],
    [524, JSON_TYPE, 504],
    [403, { ...JSON_TYPE, [HOP_REFUSED_HEADER]: "age" }, 502],
  ];
  for (const [status, headers, expected] of cases) {
    const { response, seen } = answer(status, headers);
    assert.equal(await statusOf(requireOrigin(response)), expected, String(status));
    assert.equal(seen.cancelled, true, String(status));
  }
});

test("the origin's own answers are left alone, also its errors", async () => {
  for (const status of [200, 404, 500, 503]) {
    const { response, seen } = answer(status, JSON_TYPE);
    assert.equal(await statusOf(requireOrigin(response)), undefined);
    assert.equal(seen.cancelled, false);
  }
});

test("an origin that is late is told so, and is 504; one that is not there is 502", async () => {
  const late = answered(
    5,
    (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("told")))),
  );
  assert.equal(await statusOf(late), 504);
  const gone = answered(30_000, () => Promise.reject(new Error("refused")));
  assert.equal(await statusOf(gone), 502);
});
