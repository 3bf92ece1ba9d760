import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ask, type Heard, jsonOf } from "../../support/http.ts";
import { makePhoto } from "../../support/pictures.ts";
import { bytes, create, download, newUser, put, stackForFile, startLone } from "./stage.ts";

const stack = stackForFile({ yaml: "uploads: { maxPending: 0 }" });
/** What takes longer has waited as long as is usual, 20 seconds. */
const AT_ONCE_MS = 15_000;
/** What takes longer has waited as long as it was allowed to by {@link A_MINUTE}. */
const SOON_MS = 40_000;
const A_MINUTE = "timeout_ms=60000";
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const thumbnail = (id: string, query: string) =>
  `/_matrix/client/v1/media/thumbnail/${id}?width=32&height=32&method=crop${query}`;

/** Asks and says how many milliseconds the answer took. */
async function timed(asking: Promise<Heard>): Promise<{ heard: Heard; tookMs: number }> {
  const start = performance.now();
  const heard = await asking;
  return { heard, tookMs: performance.now() - start };
}

function isNotYetUploaded(heard: Heard): void {
  assert.equal(heard.status, 504, heard.body.toString());
  assert.equal(jsonOf(heard).errcode, "M_NOT_YET_UPLOADED");
  assert.equal(heard.headers["cache-control"], "no-store");
}

for (const tier of ["origin", "edge"] as const) {
  const base = () => stack().tiers[tier];
  const user = () => newUser(stack().homeserver);

  describe(`waiting through the ${tier}`, () => {
    test("#82 download of a pending id waits, then 504", async () => {
      const token = user();
      const id = await create(base(), token);
      const { heard, tookMs } = await timed(ask(base(), download(id, "?timeout_ms=300"), { token }));
      isNotYetUploaded(heard);
      assert.ok(tookMs >= 295 && tookMs < AT_ONCE_MS, `${tookMs}`);
    });

    test("#83 thumbnail of a pending id waits, then 504", async () => {
      const token = user();
      const id = await create(base(), token);
      const { heard, tookMs } = await timed(ask(base(), thumbnail(id, "&timeout_ms=300"), { token }));
      isNotYetUploaded(heard);
      assert.ok(tookMs >= 295 && tookMs < AT_ONCE_MS, `${tookMs}`);
    });

    test("timeout_ms=0 is answered at once, and the unstable parameter counts", async () => {
      const token = user();
      const id = await create(base(), token);
      for (const query of ["?timeout_ms=0", "?fi.mau.msc2246.timeout_ms=0"]) {
        const { heard, tookMs } = await timed(ask(base(), download(id, query), { token }));
        isNotYetUploaded(heard);
        assert.ok(tookMs < AT_ONCE_MS, `${tookMs}`);
      }
    });

    test("#84 waits longer than a few seconds unless told otherwise", async () => {
      const token = user();
      const id = await create(base(), token);
      let answered = false;
      const heard = ask(base(), download(id), { token }).finally(() => {
        answered = true;
      });
      await pause(2_000);
      assert.equal(answered, false);
      await put(base(), token, id);
      assert.equal((await heard).status, 200);
    });

    test("#87 waiting downloads and thumbnails are answered with 200 as soon as the upload completes", async () => {
      const token = user();
      const id = await create(base(), token);
      const photo = await makePhoto(200, 100);
      const again = download(id, `?${A_MINUTE}`);
      const paths = [again, again, thumbnail(id, `&${A_MINUTE}`), again];
      const waiting = paths.map((path) => ask(base(), path, { token }));
      await pause(150);
      const start = performance.now();
      assert.equal(
        (await put(base(), token, id, { body: photo, headers: { "content-type": "image/jpeg" } })).status,
        200,
      );
      const heard = await Promise.all(waiting);
      const tookMs = performance.now() - start;
      assert.deepEqual(
        heard.map((one) => one.status),
        [200, 200, 200, 200],
      );
      for (const at of [0, 1, 3]) assert.deepEqual(heard[at]?.body, photo);
      assert.equal(heard[2]?.headers["content-type"], "image/jpeg");
      assert.ok(tookMs < SOON_MS, `${tookMs}`);
    });

    test("#88 what is there is answered at once, whatever timeout_ms says", async () => {
      const token = user();
      const id = await create(base(), token);
      await put(base(), token, id);
      const { heard, tookMs } = await timed(ask(base(), download(id, `?${A_MINUTE}`), { token }));
      assert.equal(heard.status, 200);
      assert.ok(tookMs < AT_ONCE_MS, `${tookMs}`);
    });

    test("#111 an id that was never reserved is 404 at once", async () => {
      const { heard, tookMs } = await timed(ask(base(), download("example.org/nobodyEver"), { token: user() }));
      assert.equal(heard.status, 404);
      assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
      assert.ok(tookMs < AT_ONCE_MS, `${tookMs}`);
    });

    test("#118 nobody waits on a legacy path for what will be frozen: 404 at once", async () => {
      const id = await create(base(), user());
      const { heard, tookMs } = await timed(ask(base(), `/_matrix/media/v3/download/${id}`));
      assert.equal(heard.status, 404);
      assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
      assert.ok(tookMs < AT_ONCE_MS, `${tookMs}`);
    });

    test("HEAD waits as GET does", async () => {
      const token = user();
      const id = await create(base(), token);
      const late = await ask(base(), download(id, "?timeout_ms=50"), { method: "HEAD", token });
      assert.equal(late.status, 504);
      const waiting = ask(base(), download(id), { method: "HEAD", token });
      await pause(50);
      const body = bytes();
      await put(base(), token, id, { body });
      const heard = await waiting;
      assert.equal(heard.status, 200);
      assert.equal(heard.headers["content-length"], String(body.byteLength));
      assert.equal(heard.body.byteLength, 0);
    });

    test("a bad timeout_ms, allow_remote or allow_redirect is refused where the media is not at the edge", async () => {
      const token = user();
      const id = "example.org/nobodyEver";
      for (const query of ["timeout_ms=soon", "timeout_ms=-1"]) {
        const heard = await ask(base(), download(id, `?${query}`), { token });
        assert.equal(heard.status, 400, query);
        assert.equal(jsonOf(heard).errcode, "M_INVALID_PARAM");
      }
      for (const query of ["allow_remote=maybe", "allow_redirect=2"]) {
        assert.equal((await ask(base(), `/_matrix/media/v3/download/${id}?${query}`, { token })).status, 400, query);
        assert.equal((await ask(base(), download(id, `?${query}`), { token })).status, 404, `#110 ${query}`);
      }
    });

    test("an anonymous request with a bad parameter is told of that first", async () => {
      const heard = await ask(base(), "/_matrix/media/v3/download/example.org/x?allow_remote=yes");
      assert.equal(heard.status, 400);
      assert.equal(jsonOf(heard).errcode, "M_INVALID_PARAM");
    });
  });
}

test("500 who wait for one media are all answered soon after its upload", async () => {
  const { url } = stack().origin;
  const token = newUser(stack().homeserver);
  const id = await create(url, token);
  const waiting = Array.from({ length: 500 }, () => ask(url, download(id, `?${A_MINUTE}`), { token }));
  await pause(1_000);
  const body = bytes();
  const start = performance.now();
  await put(url, token, id, { body });
  const heard = await Promise.all(waiting);
  assert.ok(heard.every((one) => one.status === 200 && one.body.equals(body)));
  assert.ok(performance.now() - start < SOON_MS);
});

test("#31 where the freeze is off, a legacy path without a token waits too", async (t) => {
  const repo = "repo: { bindAddress: 127.0.0.1, port: 0, freezeUnauthenticatedMedia: false }";
  const { url, homeserver } = await startLone(t, { yaml: repo });
  const token = newUser(homeserver);
  const id = await create(url, token);
  const path = `/_matrix/media/v3/download/${id}`;
  isNotYetUploaded(await ask(url, `${path}?timeout_ms=100`));
  const waiting = ask(url, path);
  await pause(100);
  const body = bytes();
  await put(url, token, id, { body });
  assert.deepEqual((await waiting).body, body);
});
