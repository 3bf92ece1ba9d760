import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { parseConfig } from "../../../origin/config/load.ts";
import { startOrigin, startStack, type TestStack } from "../../support/app.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { type Asking, ask, type Heard, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { readDisposition } from "../downloads/disposition.ts";
import { askChunked, bytes, create, download, newUser, put } from "./stage.ts";

/** Specification checklist 7.4: uploads in one step, and what `config` says of them. */

const MAX_BYTES = 300_000;
const MAX_FILES = 3;
const UPLOAD = "/_matrix/media/v3/upload";
const CONFIG = "/_matrix/client/v1/media/config";
const lifetime = lifetimeOfSuite();
let stack: TestStack;
before(async () => {
  stack = await startStack(lifetime, {
    yaml: `uploads:
  maxBytes: ${MAX_BYTES}
  minBytes: 1
  quotas: { enabled: true, users: [{ glob: "@few*:*", maxFiles: ${MAX_FILES} }] }
`,
  });
});

/** File names that must come back as they were given (those of Complement first). */
const NAMES = [
  "ascii",
  "name with spaces",
  "name;with;semicolons",
  "🐔",
  "☕",
  'it says "so"',
  "a,b=c; filename=evil.exe",
  "filename*=UTF-8''evil.exe",
  "50% off.txt",
  "%41%42.txt",
  "ümläut \u0416.txt",
  "'single' (round) *star*",
  "..hidden",
  "trailing. ",
  "x".repeat(255),
];

for (const tier of ["origin", "edge"] as const) {
  const base = () => stack.tiers[tier];
  const user = () => newUser(stack.homeserver);
  const send = (token: string, asking: Asking = {}) =>
    ask(base(), UPLOAD, { method: "POST", token, body: bytes(), ...asking });
  const get = (id: string, token = "token_of_user") => ask(base(), download(id), { token });

  describe(`an upload through the ${tier}`, () => {
    test("#52 #53 #63 comes back byte for byte, whatever the bytes and whatever they claim to be", async () => {
      const bodies: [string, Buffer, Record<string, string>][] = [
        ["one byte", Buffer.from([0]), {}],
        ["every byte", Buffer.from(Array.from({ length: 4096 }, (_, index) => index % 256)), {}],
        ["line ends of all kinds", Buffer.from("a\nb\r\nc\rd\0e".repeat(20)), { "content-type": "text/plain" }],
        ["ciphertext that says it is a picture", randomBytes(100_000), { "content-type": "image/png" }],
        ["compressed", gzipSync("words ".repeat(500)), { "content-type": "application/gzip" }],
        ["compressed, and announced as such", gzipSync("words ".repeat(500)), { "content-encoding": "gzip" }],
        ["JSON", Buffer.from('{"key":  "value",\n"key": 1e400}'), { "content-type": "application/json" }],
        ["a form", Buffer.from("a=b&c=%20"), { "content-type": "application/x-www-form-urlencoded" }],
        ["multipart", Buffer.from("--b\r\n\r\nx\r\n--b--\r\n"), { "content-type": "multipart/mixed; boundary=b" }],
        ["the largest", randomBytes(MAX_BYTES), {}],
      ];
      for (const [name, body, headers] of bodies) {
        const heard = await send("token_of_user", { body, headers });
        assert.equal(heard.status, 200, `${name}: ${heard.body}`);
        const { content_uri: uri, ...rest } = jsonOf(heard);
        assert.deepEqual(rest, {});
        assert.match(String(uri), /^mxc:\/\/example\.org\/[A-Za-z0-9_-]+$/);
        const id = String(uri).replace("mxc://", "");
        for (let times = 0; times < 2; times += 1) {
          const back = await get(id);
          assert.equal(back.headers["content-length"], String(body.byteLength), name);
          assert.equal(hash(back.body), hash(body), name);
          assert.equal(back.headers["content-encoding"], undefined, name);
        }
      }
    });

    test("#54 #90 without a type is application/octet-stream", async () => {
      const back = await get(await upload(base(), "token_of_user", bytes()));
      assert.equal(back.headers["content-type"], "application/octet-stream");
    });

    test("#55 #99 keeps its name, however odd", async () => {
      for (const name of NAMES) {
        const id = await upload(base(), "token_of_user", bytes(), { name });
        for (let times = 0; times < 2; times += 1) {
          const heard = await get(id);
          assert.match(heard.headers["content-disposition"] ?? "", /^[ -~]+$/);
          assert.equal(readDisposition(heard.headers["content-disposition"]).fileName, name);
        }
      }
    });

    test("#56 without a name has none, nor with an empty one or one of dots", async () => {
      for (const query of [
        "",
        "?filename=",
        "?filename=.",
        "?filename=..",
        "?filename=%20",
        "?filename=a%5C..",
        "?name=x",
      ]) {
        const heard = await ask(base(), UPLOAD + query, { method: "POST", token: "token_of_user", body: bytes() });
        const id = String(jsonOf(heard).content_uri).replace("mxc://", "");
        assert.equal((await get(id)).headers["content-disposition"], "attachment", query);
      }
    });

    test("#57 #58 #64 #157 is limited to exactly what config says, announced or not", async () => {
      const token = user();
      assert.deepEqual(jsonOf(await ask(base(), CONFIG, { token })), { "m.upload.size": MAX_BYTES });
      const chunked = (length: number) =>
        askChunked(base(), UPLOAD, { method: "POST", token, body: Buffer.alloc(length, 1) });
      const reserved = await create(base(), token);
      const tooLarge = [
        await send(token, { body: Buffer.alloc(MAX_BYTES + 1) }),
        await chunked(MAX_BYTES + 1),
        await put(base(), token, reserved, { body: Buffer.alloc(MAX_BYTES + 1) }),
      ];
      for (const heard of tooLarge) refused(heard, 413, "M_TOO_LARGE");
      const justSo = [
        await send(token, { body: Buffer.alloc(MAX_BYTES) }),
        await chunked(MAX_BYTES),
        await put(base(), token, reserved, { body: Buffer.alloc(MAX_BYTES) }),
      ];
      for (const heard of justSo) assert.equal(heard.status, 200);
    });

    test("#59 is refused with 403 where the user has as many files as allowed", async () => {
      const token = newUser(stack.homeserver, { user_id: `@few_${tier}:example.org` });
      for (let count = 0; count < MAX_FILES; count += 1) assert.equal((await send(token)).status, 200);
      refused(await send(token), 403, "M_FORBIDDEN");
    });

    test("#61 of bytes that are there already is a media of its own, with an owner and a name of its own", async () => {
      const body = bytes();
      const one = await upload(base(), "token_of_user", body, { type: "text/plain", name: "one.txt" });
      const same = await upload(base(), "token_of_user", body, { type: "text/plain", name: "one.txt" });
      const other = await upload(base(), "token_of_other", body, { type: "image/png", name: "other.png" });
      assert.equal(new Set([one, same, other]).size, 3);
      await ask(base(), `/_matrix/media/unstable/download/${one}`, { method: "DELETE", token: "token_of_user" });
      assert.equal((await get(same)).status, 200);
      const heard = await get(other);
      assert.equal(heard.headers["content-type"], "image/png");
      assert.equal(readDisposition(heard.headers["content-disposition"]).fileName, "other.png");
    });
  });
}

test("#157 config says what the configuration wants said, or nothing where no limit is known", async (t) => {
  const homeserver = await startHomeserver({ token: { user_id: "@user:example.org" } });
  t.after(() => homeserver.close());
  const cases: [string, object][] = [
    ["{ maxBytes: 5000, reportedMaxBytes: 4000 }", { "m.upload.size": 4000 }],
    ["{ maxBytes: 5000, reportedMaxBytes: -1 }", {}],
    ["{ maxBytes: 0 }", {}],
  ];
  const origin = await startOrigin(t, {
    homeservers: { "example.org": homeserver.url },
    yaml: "uploads: { maxBytes: 1000 }\n",
  });
  for (const [uploads, said] of cases) {
    const text = origin.yaml.replace("uploads: { maxBytes: 1000 }", `uploads: ${uploads}`);
    await origin.app.reconfigure(parseConfig([{ name: "test.yaml", text }]).config);
    const heard = await ask(origin.url, CONFIG, { token: "token" });
    assert.equal(heard.body.toString(), JSON.stringify(said));
  }
});

function refused(heard: Heard, status: number, errcode: string): void {
  assert.equal(heard.status, status);
  assert.equal(jsonOf(heard).errcode, errcode);
}

function hash(body: Buffer): string {
  return createHash("sha256").update(body).digest("hex");
}
