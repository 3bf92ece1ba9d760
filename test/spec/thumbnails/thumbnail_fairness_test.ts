import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { slowSvg } from "../../contract/imaging/support/hostile_files.ts";
import { startOrigin } from "../../support/app.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, upload } from "../../support/http.ts";
import type { Lifetime } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";
import { until } from "../../support/until.ts";

/** Small pictures that take long to draw, and whoever wants ordinary thumbnails meanwhile. */

const YAML = "thumbnails: { numWorkers: 2, types: [image/jpeg, image/svg+xml] }\n";
const HONEST = 3;

const tokenOf = (name: string) => `token_of_${name}`;

async function openStage(lifetime: Lifetime, names: readonly string[]) {
  const accounts = names.map((name) => [tokenOf(name), { user_id: `@${name}:example.org` }]);
  const homeserver = await startHomeserver(Object.fromEntries(accounts));
  lifetime.after(() => homeserver.close());
  const { url, app } = await startOrigin(lifetime, { homeservers: { "example.org": homeserver.url }, yaml: YAML });
  let drawings = 0;

  /** A picture that takes a decoder all the time it may have; never the same twice. */
  async function uploadSlow(by: string): Promise<string> {
    return await upload(url, tokenOf(by), `${slowSvg()}<!-- ${drawings++} -->`, { type: "image/svg+xml" });
  }

  async function thumbnailOf(id: string, asker: string): Promise<number> {
    const path = `/_matrix/client/v1/media/thumbnail/${id}?width=96&height=96&method=crop`;
    return (await ask(url, path, { token: tokenOf(asker) })).status;
  }

  /** Waits until so many pictures wait for a decoder. */
  async function untilWaiting(count: number): Promise<void> {
    const waiting = async () => Number(/^media_decodings_waiting (\d+)$/m.exec((await app.metrics.page()).body)?.[1]);
    await until(async () => (await waiting()) >= count, `${count} pictures wait`);
  }

  return { url, uploadSlow, thumbnailOf, untilWaiting };
}

const STORMS: readonly {
  readonly what: string;
  /** Who uploads each of the slow pictures, and who asks for it. */
  readonly pictures: readonly (readonly [uploader: string, asker: string])[];
}[] = [
  { what: "by one who asks for them himself", pictures: Array.from({ length: 12 }, () => ["a", "a"]) },
  { what: "by one, asked for by many", pictures: Array.from({ length: 12 }, (_, at) => ["a", `asker${at % 6}`]) },
  {
    what: "by several, each asked for by another",
    pictures: Array.from({ length: 16 }, (_, at) => [`uploader${at % 5}`, `asker${at % 5}`]),
  },
];

describe("pictures that take long to draw hold up nobody else's:", () => {
  for (const { what, pictures } of STORMS) {
    test(`${pictures.length} of them ${what}`, async (t) => {
      const stage = await openStage(t, [...new Set(["honest", ...pictures.flat()])]);
      const photos = await Promise.all(Array.from({ length: HONEST }, () => makePhoto(800, 600)));
      const honest = [];
      for (const photo of photos)
        honest.push(await upload(stage.url, tokenOf("honest"), photo, { type: "image/jpeg" }));
      const slow = [];
      for (const [uploader] of pictures) slow.push(await stage.uploadSlow(uploader));

      let ended = 0;
      const storm = slow.map((id, at) => stage.thumbnailOf(id, pictures[at]?.[1] ?? "").finally(() => (ended += 1)));
      // The end of the test ends them.
      for (const one of storm) one.catch(() => undefined);
      await stage.untilWaiting(pictures.length - 2);
      for (const id of honest) assert.equal(await stage.thumbnailOf(id, "honest"), 200);
      assert.ok(ended <= pictures.length / 2, `${ended} of ${pictures.length} slow ones came first`);
    });
  }
});
