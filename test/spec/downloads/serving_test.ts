import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { startStack, type TestStack } from "../../support/app.ts";
import { ask, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";
import { download } from "../uploads/stage.ts";

/** How bytes are served: conditionals (RFC 9110 §13), ranges (§14), HEAD. Checklist #115 to #117. */

const USER = "token_of_user";
const SIZE = 10_000;
const BODY = Buffer.from(Array.from({ length: SIZE }, (_, index) => (index * 7) % 251));
const PAST = "Sat, 01 Jan 2000 00:00:00 GMT";
const FUTURE = "Fri, 01 Jan 2100 00:00:00 GMT";
const lifetime = lifetimeOfSuite();
let stack: TestStack;
let id: string;
let etag: string;
let modified: string;

before(async () => {
  stack = await startStack(lifetime, { yaml: "downloads: { defaultRangeChunkSizeBytes: 4000 }\n" });
  id = await upload(stack.tiers.origin, USER, BODY, { type: "video/mp4", name: "clip.mp4" });
  const { headers } = await ask(stack.tiers.origin, download(id), { token: USER });
  etag = headers.etag ?? "";
  modified = headers["last-modified"] ?? "";
  await ask(stack.tiers.edge, download(id), { token: USER });
});

/** What a range header gets: first and last byte of a 206, or `whole`, or `outside`. */
const RANGES: readonly [string, [number, number] | "whole" | "outside"][] = [
  ["bytes=0-0", [0, 0]],
  ["bytes=0-99", [0, 99]],
  ["bytes=100-199", [100, 199]],
  ["bytes=9999-9999", [9999, 9999]],
  ["bytes=9990-20000", [9990, 9999]],
  ["bytes=-1", [9999, 9999]],
  ["bytes=-10000", [0, 9999]],
  ["bytes=-20000", [0, 9999]],
  ["bytes=0-", [0, 3999]],
  ["bytes=1-", [1, 9999]],
  ["bytes=5000-", [5000, 9999]],
  ["bytes=9000-", [9000, 9999]],
  ["Bytes=1-2", [1, 2]],
  ["bytes= 1-2", [1, 2]],
  ["bytes=,1-2,", [1, 2]],
  ["bytes=10000-", "outside"],
  ["bytes=99999999999999999999-", "outside"],
  ["bytes=-0", "outside"],
  ["bytes=0-1,3-4", "whole"],
  ["bytes=5-2", "whole"],
  ["bytes=a-b", "whole"],
  ["bytes=", "whole"],
  ["bytes", "whole"],
  ["items=0-5", "whole"],
  ["bytes=--5", "whole"],
];

for (const tier of ["origin", "edge"] as const) {
  const get = (headers: Record<string, string> = {}, method = "GET", path = download(id)) =>
    ask(stack.tiers[tier], path, { token: USER, headers, method });

  describe(`through the ${tier}`, () => {
    for (const [range, expected] of RANGES) {
      test(`#115 Range: ${range}`, async () => {
        const heard = await get({ range });
        if (expected === "whole") {
          assert.equal(heard.status, 200);
          assert.ok(heard.body.equals(BODY));
          assert.equal(heard.headers["content-length"], String(SIZE));
          assert.equal(heard.headers["content-range"], undefined);
        } else if (expected === "outside") {
          assert.equal(heard.status, 416);
          assert.equal(heard.headers["content-range"], `bytes */${SIZE}`);
          assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
        } else {
          const [first, last] = expected;
          assert.equal(heard.status, 206);
          assert.equal(heard.headers["content-range"], `bytes ${first}-${last}/${SIZE}`);
          assert.equal(heard.headers["content-length"], String(last - first + 1));
          assert.ok(heard.body.equals(BODY.subarray(first, last + 1)));
          assert.equal(heard.headers["content-type"], "video/mp4");
          assert.equal(heard.headers.etag, etag);
        }
      });
    }

    test("#115 a body can be put together from ranges, each asked for with the tag of the first", async () => {
      const parts: Buffer[] = [];
      for (let first = 0; first < SIZE; ) {
        const heard = await get({ range: `bytes=${first}-`, "if-range": etag });
        assert.equal(heard.status, 206);
        parts.push(heard.body);
        first += heard.body.byteLength;
      }
      assert.ok(Buffer.concat(parts).equals(BODY));
    });

    test("the tag is strong, the answer private, and ranges are announced", async () => {
      const { headers } = await get();
      assert.match(headers.etag ?? "", /^"[0-9a-f]{64}"$/);
      assert.equal(headers["accept-ranges"], "bytes");
      assert.match(headers["cache-control"] ?? "", /^private\b/);
      assert.ok(Math.abs(Date.parse(headers["last-modified"] ?? "") - Date.now()) < 120_000);
    });

    test("conditions decide between 200, 304 and 412 as RFC 9110 §13.2.2 has it", async () => {
      const cases: [Record<string, string>, number][] = [
        [{ "if-none-match": etag }, 304],
        [{ "if-none-match": `W/${etag}` }, 304],
        [{ "if-none-match": `"other", ${etag}` }, 304],
        [{ "if-none-match": "*" }, 304],
        [{ "if-none-match": '"other"' }, 200],
        [{ "if-none-match": etag.slice(1, -1) }, 200],
        [{ "if-none-match": "" }, 200],
        [{ "if-modified-since": modified }, 304],
        [{ "if-modified-since": FUTURE }, 304],
        [{ "if-modified-since": PAST }, 200],
        [{ "if-modified-since": "yesterday" }, 200],
        // The tag counts alone where there is one.
        [{ "if-none-match": '"other"', "if-modified-since": FUTURE }, 200],
        [{ "if-none-match": etag, "if-modified-since": PAST }, 304],
        // A condition that says "not modified" comes before any range.
        [{ "if-none-match": etag, range: "bytes=0-9" }, 304],
        [{ "if-none-match": '"other"', range: "bytes=0-9" }, 206],
        [{ "if-match": etag }, 200],
        [{ "if-match": "*" }, 200],
        [{ "if-match": `"other", ${etag}` }, 200],
        [{ "if-match": etag, range: "bytes=0-9" }, 206],
        [{ "if-match": etag, "if-none-match": etag }, 304],
        [{ "if-match": '"other"' }, 412],
        [{ "if-match": `W/${etag}` }, 412],
        [{ "if-unmodified-since": modified }, 200],
        [{ "if-unmodified-since": "yesterday" }, 200],
        [{ "if-unmodified-since": PAST }, 412],
        // As with the other two, the tag counts alone where there is one; and a failed condition comes before everything else.
        [{ "if-match": etag, "if-unmodified-since": PAST }, 200],
        [{ "if-match": '"other"', "if-unmodified-since": FUTURE }, 412],
        [{ "if-match": '"other"', "if-none-match": etag }, 412],
        [{ "if-match": '"other"', range: "bytes=99999-" }, 412],
      ];
      for (const method of ["GET", "HEAD"]) {
        for (const [headers, status] of cases) {
          const heard = await get(headers, method);
          const expected = method === "HEAD" && status === 206 ? 200 : status;
          assert.equal(heard.status, expected, `${method} ${JSON.stringify(headers)}`);
          if (status === 412) assert.equal(heard.headers.etag, etag);
          if (status === 412 && method === "GET") assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
          if (status !== 304) continue;
          assert.equal(heard.body.byteLength, 0);
          assert.equal(heard.headers.etag, etag);
          assert.equal(heard.headers["content-type"], undefined);
        }
      }
    });

    test("If-Range lets a range count only where nothing has changed", async () => {
      const cases: [string, number][] = [
        [etag, 206],
        [modified, 206],
        [`W/${etag}`, 200],
        ['"other"', 200],
        [PAST, 200],
        [FUTURE, 200],
        ["nonsense", 200],
      ];
      for (const [condition, status] of cases) {
        const heard = await get({ range: "bytes=0-9", "if-range": condition });
        assert.equal(heard.status, status, condition);
        assert.equal(heard.body.byteLength, status === 206 ? 10 : SIZE);
      }
      // What lies outside is no matter where the range does not count.
      assert.equal((await get({ range: "bytes=99999-", "if-range": '"other"' })).status, 200);
    });

    test("#116 HEAD has the headers of GET, lengths included, and no body; a range means nothing to it", async () => {
      const photo = await upload(stack.tiers[tier], USER, await makePhoto(80, 60), { type: "image/jpeg" });
      const paths = [
        download(id),
        `${download(id)}/other.mp4`,
        `/_matrix/client/v1/media/thumbnail/${photo}?width=32&height=32`,
        `/_matrix/media/v3/download/${id}`,
      ];
      for (const path of paths) {
        for (let times = 0; times < 2; times += 1) {
          const [got, head] = [await get({}, "GET", path), await get({ range: "bytes=0-9" }, "HEAD", path)];
          assert.equal(head.status, 200, path);
          assert.equal(head.body.byteLength, 0);
          for (const name of [
            "content-length",
            "content-type",
            "content-disposition",
            "etag",
            "last-modified",
            "accept-ranges",
          ]) {
            assert.equal(head.headers[name], got.headers[name], `${path}: ${name}`);
          }
          assert.equal(got.headers["content-length"], String(got.body.byteLength));
        }
      }
    });

    test("#116 HEAD of what cannot be had is that error without a body", async () => {
      const cases: [string, string | undefined, number][] = [
        [download("example.org/nothing"), USER, 404],
        [download("example.org/a.b"), USER, 400],
        [download(id), undefined, 401],
      ];
      for (const [path, token, status] of cases) {
        const heard = await ask(stack.tiers[tier], path, { method: "HEAD", token });
        assert.equal(heard.status, status, path);
        assert.equal(heard.body.byteLength, 0);
      }
    });

    test("nothing is compressed on the way, whatever the client accepts", async () => {
      const text = await upload(stack.tiers[tier], USER, "words ".repeat(2000), { type: "text/plain" });
      for (let times = 0; times < 2; times += 1) {
        const heard = await get({ "accept-encoding": "gzip, br, zstd" }, "GET", download(text));
        assert.equal(heard.headers["content-encoding"], undefined);
        assert.equal(heard.headers["content-length"], "12000");
        assert.equal(heard.body.byteLength, 12_000);
      }
    });
  });
}
