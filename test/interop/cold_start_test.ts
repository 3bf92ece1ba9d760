import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { createClient } from "matrix-js-sdk";
import { startStack, type TestStack } from "../support/app.ts";
import { ask, type Heard, upload } from "../support/http.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";
import { makePhoto } from "../support/pictures.ts";
import { TIERS } from "./stage.ts";

const PICTURES = 200;
const AT_ONCE = 20;
const UPLOADER = "token_of_admin";

describe("Element's cold start, at the rate limits that are the default", () => {
  const lifetime = lifetimeOfSuite();
  let stack: TestStack;

  before(async () => {
    // Administrators are not limited: theirs are the uploads.
    stack = await startStack(lifetime, { yaml: 'rateLimit: { enabled: true }\nadmins: ["@admin:example.org"]\n' });
  });

  for (const tier of TIERS) {
    test(`${PICTURES} thumbnails of different media at once with one new token are served, over the ${tier}`, async (t) => {
      const uris = await uploadMany(stack.tiers.origin);
      const token = `new_token_at_the_${tier}`;
      stack.homeserver.accounts.set(token, { user_id: `@new_at_the_${tier}:example.org`, device_id: "NEW" });
      const client = createClient({ baseUrl: stack.tiers[tier], accessToken: token });
      const urls = uris.map((uri) => client.mxcUrlToHttp(uri, 32, 32, "crop", false, true, true));
      const asked = stack.homeserver.asked.length;
      for (const round of ["first", "second"]) {
        const began = performance.now();
        const answers = await Promise.all(urls.map((url) => askFor(String(url), token)));
        t.diagnostic(`the ${round} time: ${Math.round(performance.now() - began)} ms`);
        assert.deepEqual(statuses(answers), { 200: PICTURES });
        assert.ok(answers.every(({ headers }) => headers["content-type"]?.startsWith("image/")));
      }
      const whoami = stack.homeserver.asked.slice(asked).filter((path) => path.endsWith("/whoami")).length;
      assert.ok(whoami <= 2, `the homeserver was asked ${whoami} times whose token it is`);
    });
  }

  test("the limits hold nevertheless: the same path again and again is refused", async () => {
    const path = "/_matrix/client/v1/media/config";
    const answers = await Promise.all(
      Array.from({ length: 30 }, () => ask(stack.tiers.origin, path, { token: "token_of_user" })),
    );
    const { 200: served = 0, 429: refused = 0 } = statuses(answers);
    assert.ok(served >= 10 && refused >= 10 && served + refused === 30, JSON.stringify(statuses(answers)));
  });
});

async function uploadMany(base: string): Promise<string[]> {
  const uris: string[] = [];
  for (let begun = 0; begun < PICTURES; begun += AT_ONCE) {
    const sending = Array.from({ length: AT_ONCE }, async () => {
      const photo = await makePhoto(80, 60);
      return `mxc://${await upload(base, UPLOADER, photo, { type: "image/jpeg" })}`;
    });
    uris.push(...(await Promise.all(sending)));
  }
  return uris;
}

function askFor(url: string, token: string): Promise<Heard> {
  const { origin, pathname, search } = new URL(url);
  return ask(origin, pathname + search, { token });
}

/** How many answers had which status. */
function statuses(answers: readonly Heard[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
