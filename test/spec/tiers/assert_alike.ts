import assert from "node:assert/strict";
import { type Asking, ask, told } from "../../support/http.ts";

/** What a client heard, at both tiers. */
export type Told = ReturnType<typeof told>;

/**
 * Asks the edge, cold and again, and the origin; all three must give the same answer, which is returned. An error must have the
 * form of Matrix.
 */
export async function assertAlike(
  tiers: Readonly<Record<"origin" | "edge", string>>,
  path: string,
  asking?: Asking,
): Promise<Told> {
  const cold = told(await ask(tiers.edge, path, asking));
  const again = told(await ask(tiers.edge, path, asking));
  const atOrigin = told(await ask(tiers.origin, path, asking));
  assert.deepEqual(cold, atOrigin, "the first answer of the edge");
  assert.deepEqual(again, atOrigin, "the second answer of the edge");
  if (atOrigin.status >= 400 && asking?.method !== "HEAD") {
    const error = JSON.parse(Buffer.from(atOrigin.body, "base64").toString());
    assert.equal(typeof error.errcode, "string");
    assert.equal(typeof error.error, "string");
  }
  return atOrigin;
}
