import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, describe, test } from "node:test";
import { HOP_SECRET, startStack, type TestStack } from "../support/app.ts";
import { type Asking, ask, upload } from "../support/http.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";
import { makePhoto } from "../support/pictures.ts";
import { until } from "../support/until.ts";
import { CallCounter, filesOfJourney } from "./files_that_run.ts";

/**
 * How many of our files one request runs through: what somebody reads who follows it with a debugger. At the origin the token is
 * new each time, and the homeserver asked. A number that is exceeded wants another look at the way, not a larger number.
 */

const token = "token_of_user";
const bytesOf = (name: string) => `the bytes of ${name} `.repeat(20);
/** By a name that the compiler does not follow: the Worker has types of its own. */
const WORKER = new URL("../../edge/main.ts", import.meta.url).href;

interface Worker {
  fetch(request: Request, env: Readonly<Record<string, string>>, context: object): Promise<Response>;
}

describe("the length of a journey", () => {
  const lifetime = lifetimeOfSuite();
  let stack: TestStack;
  let counter: CallCounter;
  before(async () => {
    stack = await startStack(lifetime);
    counter = await CallCounter.open();
    lifetime.after(() => counter.close());
  });

  async function holds(most: number, work: (time: number) => Promise<unknown>): Promise<void> {
    const files = await filesOfJourney(counter, work);
    assert.ok(files.length > 5, `only ${files.length} files are seen to run`);
    assert.ok(files.length <= most, `${files.length} files, not ${most}:\n  ${files.join("\n  ")}`);
  }

  /** A token of the same user that nobody has seen yet. */
  function newToken(): string {
    const fresh = `token_${randomUUID()}`;
    stack.homeserver.accounts.set(fresh, { user_id: "@user:example.org", device_id: "DEVICE" });
    return fresh;
  }

  async function expect200(path: string, asking: Asking = {}): Promise<void> {
    const { status } = await ask(stack.tiers.origin, path, { token: newToken(), ...asking });
    assert.equal(status, 200);
  }

  const v1 = "/_matrix/client/v1/media";
  const size = "width=320&height=240&method=scale";

  test("an upload at the origin", () =>
    holds(74, (time) => upload(stack.tiers.origin, newToken(), bytesOf(`upload ${time}`))));

  test("a download at the origin", async () => {
    const mxc = await upload(stack.tiers.origin, token, bytesOf("a download"));
    await holds(66, () => expect200(`${v1}/download/${mxc}`));
  });

  test("a thumbnail that is found, at the origin", async () => {
    const mxc = await upload(stack.tiers.origin, token, await makePhoto(640, 480), { type: "image/jpeg" });
    await holds(66, () => expect200(`${v1}/thumbnail/${mxc}?${size}`));
  });

  test("a thumbnail that is made, at the origin", async () => {
    const photos = await Promise.all([0, 1, 2, 3].map((time) => makePhoto(640 + time, 480)));
    const uploads = photos.map((photo) => upload(stack.tiers.origin, token, photo, { type: "image/jpeg" }));
    const mxcs = await Promise.all(uploads);
    await holds(92, (time) => expect200(`${v1}/thumbnail/${mxcs[time]}?${size}`));
  });

  test("a deletion at the origin", async () => {
    const bodies = [0, 1, 2, 3].map((time) => upload(stack.tiers.origin, token, bytesOf(`deletion ${time}`)));
    const mxcs = await Promise.all(bodies);
    await holds(69, (time) => expect200(`/_matrix/media/unstable/download/${mxcs[time]}`, { method: "DELETE" }));
  });

  test("a cached thumbnail at the edge", async () => {
    const { edge, origin, tiers } = stack;
    const mxc = await upload(tiers.origin, token, await makePhoto(640, 480), { type: "image/jpeg" });
    const env = {
      ORIGIN_URL: origin.url,
      HOP_SECRET,
      S3_ENDPOINT: edge.s3.endpoint,
      S3_BUCKET: edge.s3.bucket,
      S3_ACCESS_KEY_ID: edge.s3.accessKeyId,
      S3_SECRET_ACCESS_KEY: edge.s3.secretAccessKey,
    };
    const { default: worker } = (await import(WORKER)) as { default: Worker };
    const url = `https://example.org${v1}/thumbnail/${mxc}?${size}`;
    const get = async () => {
      const request = new Request(url, { headers: { authorization: `Bearer ${token}` } });
      const response = await worker.fetch(request, env, { waitUntil: () => undefined });
      await response.arrayBuffer();
      assert.equal(response.status, 200);
      return response.headers.get("cache-status") ?? "";
    };
    await until(async () => /hit/.test(await get()), "the edge did not find it in its bucket");
    await holds(22, get);
  });
});
