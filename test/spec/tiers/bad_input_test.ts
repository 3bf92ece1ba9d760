import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { startStack, type TestStack } from "../../support/app.ts";
import { ask, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { talk } from "../access/talk.ts";

const USER = "token_of_user";
const lifetime = lifetimeOfSuite();
let stack: TestStack;
let id: string;

before(async () => {
  stack = await startStack(lifetime);
  id = await upload(stack.tiers.origin, USER, "words ".repeat(100));
});

const PATHS: readonly [string, string, number, string][] = [
  ["a media id of 300 characters", `example.org/${"a".repeat(300)}`, 400, "M_INVALID_PARAM"],
  ["percent-encoded traversal", "example.org/%2e%2e%2f%2e%2e%2fetc", 400, "M_INVALID_PARAM"],
  ["a NUL", "example.org/a%00", 400, "M_INVALID_PARAM"],
  ["an id that is not ASCII", "example.org/%C3%A9", 400, "M_INVALID_PARAM"],
  ["a server name with an underscore", "exa_mple.org/abc", 400, "M_INVALID_PARAM"],
  ["an octet above 255", "256.1.1.1/abc", 400, "M_INVALID_PARAM"],
  ["a port of six digits", "example.org:123456/abc", 400, "M_INVALID_PARAM"],
];

const QUERIES: readonly [string, string, string][] = [
  ["width=0", "width=0&height=1", "M_UNKNOWN"],
  ["width=99999999", "width=99999999&height=1", "M_UNKNOWN"],
  ["a width that is no number", "width=wide&height=1", "M_UNKNOWN"],
  ["a negative height", "width=1&height=-1", "M_UNKNOWN"],
  ["no height", "width=1", "M_MISSING_PARAM"],
  ["method=evil", "width=1&height=1&method=evil", "M_INVALID_PARAM"],
  ["animated=maybe", "width=1&height=1&animated=maybe", "M_INVALID_PARAM"],
];

for (const tier of ["origin", "edge"] as const) {
  describe(`bad input at the ${tier} has an exact answer`, () => {
    for (const [name, path, status, errcode] of PATHS) {
      test(`#16 #17 #18 #21 #23 #24 ${name}: ${status} ${errcode}`, async () => {
        for (const kind of ["download", "thumbnail"]) {
          const query = kind === "thumbnail" ? "?width=1&height=1" : "";
          const heard = await ask(stack.tiers[tier], `/_matrix/client/v1/media/${kind}/${path}${query}`, {
            token: USER,
          });
          assert.equal(heard.status, status);
          assert.equal(jsonOf(heard).errcode, errcode);
        }
      });
    }

    for (const [name, query, errcode] of QUERIES) {
      test(`#127 #128 a thumbnail with ${name}: 400 ${errcode}`, async () => {
        const heard = await ask(stack.tiers[tier], `/_matrix/client/v1/media/thumbnail/${id}?${query}`, {
          token: USER,
        });
        assert.equal(heard.status, 400);
        assert.equal(jsonOf(heard).errcode, errcode);
      });
    }

    test("a query longer than the HTTP parser reads: 431, and of 2 MB never anything else", async () => {
      const asking = (length: number) =>
        `GET /_matrix/client/v1/media/download/${id}?x=${"y".repeat(length)} HTTP/1.1\r\nHost: example.org\r\n\r\n`;
      const heard = await talk(stack.tiers[tier], [asking(140_000)]);
      assert.match(heard, /^HTTP\/1.1 431 /);
      if (tier === "origin") assert.match(heard, /"errcode":"M_UNKNOWN"/);
      // Who is still sending when the other side hangs up may never hear why.
      const cut = await talk(stack.tiers[tier], [asking(2_000_000)]).catch(() => "");
      assert.match(cut, /^(HTTP\/1.1 431 |$)/);
      assert.equal((await ask(stack.tiers[tier], "/_matrix/media/version")).status, 200, "others are served");
    });

    test("header bytes that are not ASCII are no header injection", async () => {
      const name = "a\r\nX-Evil: 1\u00e9\u{1F414}.txt";
      const got = await upload(stack.tiers[tier], USER, "words ".repeat(100), { name, type: "text/plain; x=\u00e9" });
      const heard = await ask(stack.tiers[tier], `/_matrix/client/v1/media/download/${got}`, { token: USER });
      assert.equal(heard.status, 200);
      assert.equal(heard.headers["x-evil"], undefined);
      assert.match(heard.headers["content-disposition"] ?? "", /^[\x20-\x7e]+$/);
      assert.match(heard.headers["content-type"] ?? "", /^text\/plain/);
    });

    test("#224 a token of another scheme, a cookie and a referrer authenticate nobody", async () => {
      for (const headers of [
        { authorization: "Basic abc" },
        { authorization: USER },
        { cookie: `access_token=${USER}` },
        { referer: `https://example.org/?access_token=${USER}` },
      ]) {
        const heard = await ask(stack.tiers[tier], `/_matrix/client/v1/media/download/${id}`, { headers });
        assert.equal(heard.status, 401);
        assert.equal(jsonOf(heard).errcode, "M_MISSING_TOKEN");
      }
    });

    test("of several tokens in the query the first counts, and none beside a header of another scheme", async () => {
      const path = `/_matrix/client/v1/media/download/${id}`;
      const cases: [string, Record<string, string>, number, string | undefined][] = [
        [`?access_token=${USER}&access_token=nobody`, {}, 200, undefined],
        [`?access_token=nobody&access_token=${USER}`, {}, 401, "M_UNKNOWN_TOKEN"],
        [`?access_token=&access_token=${USER}`, {}, 401, "M_MISSING_TOKEN"],
        [`?access_token=${USER}`, { authorization: "Basic abc" }, 401, "M_MISSING_TOKEN"],
      ];
      for (const [query, headers, status, errcode] of cases) {
        const heard = await ask(stack.tiers[tier], path + query, { headers });
        assert.equal(heard.status, status, query);
        if (errcode !== undefined) assert.equal(jsonOf(heard).errcode, errcode);
      }
    });
  });
}
