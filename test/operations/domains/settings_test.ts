import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import sharp from "sharp";
import { startStack, type TestStack, userOf } from "../../support/app.ts";
import { askHost, jsonOf } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";

/** Each homeserver has settings of its own: per-domain files, merged deeply over the main one, felt at both tiers. */

const MAIN = "main.example";
const OWN = "own.example";
const FILE = `
homeserver: ${OWN}
uploads:
  maxBytes: 2000
thumbnails:
  sizes: [{ width: 50, height: 50 }]
  preferWebp: true
downloads:
  defaultRangeChunkSizeBytes: 100
identicons: { enabled: false }
`;
const lifetime = lifetimeOfSuite();
let stack: TestStack;
let photo: string;

before(async () => {
  stack = await startStack(lifetime, {
    serverNames: [MAIN, OWN],
    yaml: `uploads: { maxBytes: 100000, minBytes: 500 }
thumbnails: { sizes: [{ width: 40, height: 40 }, { width: 200, height: 200 }], types: [image/jpeg], maxSourceBytes: 90000 }
`,
    files: [{ name: "own.yaml", text: FILE }],
  });
  const body = await makePhoto(300, 300);
  photo = await uploaded(stack.tiers.origin, MAIN, body, "image/jpeg");
});

async function send(base: string, host: string, body: Buffer, type = "application/octet-stream") {
  const headers = { "content-type": type };
  return await askHost(base, host, "/_matrix/media/v3/upload", { method: "POST", token: userOf(host), body, headers });
}

async function uploaded(base: string, host: string, body: Buffer, type?: string): Promise<string> {
  const heard = await send(base, host, body, type);
  assert.equal(heard.status, 200, heard.body.toString());
  return String(jsonOf(heard).content_uri).replace("mxc://", "");
}

for (const tier of ["origin", "edge"] as const) {
  const base = () => stack.tiers[tier];

  describe(`settings through the ${tier}`, () => {
    test("#64 the largest upload is each homeserver's own, told and enforced; the smallest is inherited", async () => {
      for (const [host, most] of [
        [MAIN, 100_000],
        [OWN, 2_000],
      ] as const) {
        const told = await askHost(base(), host, "/_matrix/client/v1/media/config", { token: userOf(host) });
        assert.deepEqual(jsonOf(told), { "m.upload.size": most });
        assert.equal((await send(base(), host, Buffer.alloc(most))).status, 200);
        assert.equal((await send(base(), host, Buffer.alloc(most + 1))).status, 413);
        assert.equal((await send(base(), host, Buffer.alloc(499))).status, 400);
      }
    });

    test("thumbnails of one media are of the sizes of the homeserver that is asked, again and again", async () => {
      const path = `/_matrix/client/v1/media/thumbnail/${photo}?width=30&height=30`;
      for (let times = 0; times < 3; times += 1) {
        for (const [host, side, type, vary] of [
          [MAIN, 40, "image/jpeg", undefined],
          [OWN, 50, "image/webp", "Accept"],
        ] as const) {
          const heard = await askHost(base(), host, path, { token: userOf(host), headers: { accept: "image/webp" } });
          assert.equal(heard.status, 200);
          const { width, height } = await sharp(heard.body).metadata();
          assert.deepEqual([width, height], [side, side], host);
          assert.deepEqual([heard.headers["content-type"], heard.headers.vary], [type, vary], host);
        }
      }
    });

    test("what a per-domain file does not say of a section is inherited", async () => {
      const large = await uploaded(
        base(),
        MAIN,
        Buffer.concat([await makePhoto(64, 64), Buffer.alloc(90_000)]),
        "image/jpeg",
      );
      const png = await sharp(await makePhoto(64, 64))
        .png()
        .toBuffer();
      const other = await uploaded(base(), MAIN, png, "image/png");
      for (const host of [MAIN, OWN]) {
        const status = async (id: string) => {
          const path = `/_matrix/client/v1/media/thumbnail/${id}?width=30&height=30`;
          return (await askHost(base(), host, path, { token: userOf(host) })).status;
        };
        assert.equal(await status(large), 413, `maxSourceBytes of ${host}`);
        assert.equal(await status(other), 400, `types of ${host}`);
      }
    });

    test("a range without an end is as long as the homeserver that is asked wants it", async () => {
      const path = `/_matrix/client/v1/media/download/${photo}`;
      for (let times = 0; times < 2; times += 1) {
        const own = await askHost(base(), OWN, path, { token: userOf(OWN), headers: { range: "bytes=0-" } });
        assert.equal(own.body.byteLength, 100);
        const main = await askHost(base(), MAIN, path, { token: userOf(MAIN), headers: { range: "bytes=0-" } });
        assert.ok(main.body.byteLength > 1_000);
      }
    });

    test("a feature that one has switched off is there for the other", async () => {
      const path = "/_matrix/media/r0/identicon/seed";
      assert.equal((await askHost(base(), MAIN, path)).status, 200);
      assert.equal((await askHost(base(), OWN, path)).status, 404);
    });
  });
}
