import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { before, describe, test } from "node:test";
import { parseConfig } from "../../../origin/config/load.ts";
import { COMMON_HEADERS } from "../../../shared/http/respond.ts";
import { startStack, type TestStack } from "../../support/app.ts";
import { ask, jsonOf, upload } from "../../support/http.ts";
import { type Lifetime, lifetimeOfSuite } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";
import { bytes, download } from "../uploads/stage.ts";
import { readDisposition } from "./disposition.ts";

/** Specification checklist 7.6: what a download answers, header by header. */

const INLINE: string[] = JSON.parse(readFileSync(new URL("../../vectors/matrix_spec.json", import.meta.url), "utf8"))
  .inline_types.types;
const ATTACHED = [
  "application/octet-stream",
  "image/svg+xml",
  "text/html",
  "application/xhtml+xml",
  "application/xml",
  "text/xml",
  "text/javascript",
  "application/javascript",
  "application/pdf",
  "application/zip",
  "image/tiff",
  "video/x-matroska",
  "text/plainer",
  "x-unknown/y",
];
/** Types that must come back as they were sent, to the letter. */
const VERBATIM = [
  "text/plain; charset=utf-8",
  "text/plain;charset=ISO-8859-1",
  "Text/HTML; Charset=UTF-8",
  'application/x-thing+json; profile="a b; c"; v=1',
  "image/PNG",
  "audio/ogg; codecs=opus",
];
const USER = "token_of_user";
const lifetime = lifetimeOfSuite();
let stack: TestStack;
before(async () => {
  // Another server may be on loopback here: that it is not asked must have another reason.
  stack = await startStack(lifetime, { yaml: "federation: { disallowedNetworks: [] }\n" });
});

/** Another server that counts who comes, and says nothing. */
async function startOther(t: Lifetime): Promise<{ readonly name: string; readonly connections: number }> {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return {
    name: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get connections() {
      return connections;
    },
  };
}

async function freeze(on: boolean): Promise<void> {
  const text = stack.origin.yaml.replace(/^repo: \{/m, `repo: { freezeUnauthenticatedMedia: ${on},`);
  await stack.origin.app.reconfigure(parseConfig([{ name: "test.yaml", text }]).config);
}

for (const tier of ["origin", "edge"] as const) {
  const base = () => stack.tiers[tier];
  const get = (path: string, headers: Record<string, string> = {}) => ask(base(), path, { token: USER, headers });

  describe(`a download through the ${tier}`, () => {
    test("#90 #93 #94 #95 #96 is inline of the 26 types that are safe, in whatever spelling, and of no other", async () => {
      assert.equal(INLINE.length, 26);
      const cases = [
        ...INLINE.flatMap((type) => [
          [type, "inline"],
          [`${type.toUpperCase()}; charset=utf-8`, "inline"],
        ]),
        ...ATTACHED.flatMap((type) => [
          [type, "attachment"],
          [`${type}; x="image/png"`, "attachment"],
        ]),
      ];
      for (const [type = "", kind] of cases) {
        const id = await upload(base(), USER, bytes(), { type });
        const heard = await get(download(id));
        assert.equal(heard.headers["content-type"], type);
        assert.deepEqual(readDisposition(heard.headers["content-disposition"]), { kind, fileName: undefined }, type);
      }
    });

    test("#91 has the type of its upload, to the letter", async () => {
      for (const type of VERBATIM) {
        const id = await upload(base(), USER, bytes(), { type });
        for (let times = 0; times < 2; times += 1) {
          assert.equal((await get(download(id))).headers["content-type"], type);
        }
      }
    });

    test("#91 #94 of what claims to be two types is never both", async () => {
      const cases = [
        ["image/png;, text/html", "image/png", "inline"],
        ["image/png; x=\u00e9, text/html", "image/png", "inline"],
        ["image/png, text/html", "application/octet-stream", "attachment"],
        ["image/png\ttext/html", "application/octet-stream", "attachment"],
        ["image", "application/octet-stream", "attachment"],
      ];
      for (const [type = "", sent, kind] of cases) {
        const heard = await get(download(await upload(base(), USER, bytes(), { type })));
        assert.equal(heard.headers["content-type"], sent, type);
        assert.equal(readDisposition(heard.headers["content-disposition"]).kind, kind, type);
      }
    });

    test("#97 has the name of the path where there is one, decoded once", async () => {
      const id = await upload(base(), USER, bytes(), { type: "text/plain", name: "stored.txt" });
      const cases = [
        ["other.txt", "other.txt"],
        ["%F0%9F%90%94.txt", "🐔.txt"],
        ["a%20b%3Bc%22d.txt", 'a b;c"d.txt'],
        ["a+b.txt", "a+b.txt"],
        ["%252e", "%2e"],
        ["caf%C3%A9%2Fmenu.txt", "menu.txt"],
        ["C%3A%5Cdir%5Cx.doc", "x.doc"],
        ["evil%E2%80%AEtxt.exe", "eviltxt.exe"],
        // What is no name is as good as absent.
        ["%2e%2e", "stored.txt"],
        ["%2E", "stored.txt"],
        ["a%2F", "stored.txt"],
        ["%E2%81%A6%00", "stored.txt"],
      ];
      for (const [path, name] of cases) {
        const heard = await get(`${download(id)}/${path}`);
        assert.equal(heard.status, 200, path);
        assert.deepEqual(readDisposition(heard.headers["content-disposition"]), { kind: "inline", fileName: name });
      }
      assert.equal(readDisposition((await get(download(id))).headers["content-disposition"]).fileName, "stored.txt");
    });

    test("#100 no name and no type can bring a header of its own, neither stored nor in the path", async () => {
      const evil = 'a"\r\nX-Evil: 1\r\n\r\n<script>\u0000\u007f\u0085.txt';
      const id = await upload(base(), USER, bytes(), { type: "text/plain", name: evil });
      for (const path of [download(id), `${download(id)}/${encodeURIComponent(evil.replaceAll("/", ""))}`]) {
        const heard = await get(path);
        assert.equal(heard.status, 200);
        assert.equal(heard.headers["x-evil"], undefined);
        for (const [name, value] of Object.entries(heard.headers)) assert.match(value, /^[ -~]*$/, name);
        assert.doesNotMatch(heard.body.toString("latin1"), /X-Evil/);
      }
    });

    test("#101 #102 #117 has the headers that keep browsers safe, whole, in part, and unmodified", async () => {
      const id = await upload(base(), USER, bytes(1000), { type: "text/html" });
      const whole = await get(download(id));
      const answers = [
        [whole, 200],
        [await get(download(id), { range: "bytes=0-9" }), 206],
        [await get(download(id), { "if-none-match": whole.headers.etag ?? "" }), 304],
        [await get(`${download(id)}/name.html`), 200],
        [await ask(base(), download(id), { token: USER, method: "HEAD" }), 200],
      ] as const;
      for (const [heard, status] of answers) {
        assert.equal(heard.status, status);
        for (const [name, value] of Object.entries(COMMON_HEADERS)) assert.equal(heard.headers[name], value, name);
        assert.match(heard.headers["cache-control"] ?? "", /^private\b/);
      }
      const csp = whole.headers["content-security-policy"] ?? "";
      const recommended =
        "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; object-src 'self';";
      for (const directive of recommended.split("; ")) assert.ok(csp.includes(directive.replace(/;$/, "")), directive);
      assert.equal(whole.headers["cross-origin-resource-policy"], "cross-origin");
    });

    test("#103 #104 #105 #110 is never a redirect, whether one is allowed or not", async () => {
      const id = await upload(base(), USER, bytes());
      const queries = ["", "?allow_redirect=true", "?allow_redirect=false", "?allow_redirect=1"];
      for (const path of [download(id), `/_matrix/media/v3/download/${id}`, `/_matrix/media/r0/download/${id}/name`]) {
        for (const query of queries) {
          const heard = await get(path + query);
          assert.equal(heard.status, 200, path + query);
          assert.equal(heard.headers.location, undefined);
        }
      }
    });

    test("#107 #108 #109 with allow_remote=false asks nobody for media of another server: 404 M_NOT_FOUND", async (t) => {
      const other = await startOther(t);
      for (const version of ["v3", "r0", "v1"]) {
        for (const kind of ["download", "thumbnail"]) {
          const query = `?allow_remote=false${kind === "thumbnail" ? "&width=32&height=32" : ""}`;
          const heard = await get(`/_matrix/media/${version}/${kind}/${other.name}/abcdef${query}`);
          assert.equal(heard.status, 404);
          assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
        }
      }
      assert.equal(other.connections, 0);
      const heard = await get(`/_matrix/media/v3/download/${other.name}/abcdef`);
      assert.ok(heard.status === 502 || heard.status === 404, String(heard.status));
      assert.ok(other.connections > 0, "by default it is asked");
    });

    test("#31 #107 #109 nobody who does not authenticate makes us ask another server, whatever is frozen: 404 M_NOT_FOUND", async (t) => {
      const other = await startOther(t);
      for (const frozen of [false, true]) {
        await freeze(frozen);
        for (const query of ["?", "?allow_remote=true&", "?allow_remote=false&"]) {
          for (const kind of ["download", "thumbnail"]) {
            const path = `/_matrix/media/v3/${kind}/${other.name}/abcdef${query}width=32&height=32`;
            const heard = await ask(base(), path);
            assert.equal(heard.status, 404, path);
            assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
          }
        }
      }
      assert.equal(other.connections, 0);
    });

    test("#111 of media that nobody uploaded is 404 M_NOT_FOUND on every path", async () => {
      const query = "?width=32&height=32&allow_remote=false";
      for (const prefix of ["client/v1/media", "media/v3", "media/r0", "media/v1"]) {
        for (const path of [
          "download/example.org/nothing",
          "download/example.org/nothing/x",
          "thumbnail/example.org/nothing",
        ]) {
          const heard = await get(`/_matrix/${prefix}/${path}${query}`);
          assert.equal(heard.status, 404, `${prefix}/${path}`);
          assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
        }
      }
    });

    test("#225 of media that was deleted is 404 M_NOT_FOUND on every path", async () => {
      const id = await upload(base(), USER, await makePhoto(64, 64), { type: "image/jpeg" });
      const paths = ["client/v1/media", "media/v3", "media/r0", "media/v1"].flatMap((prefix) => [
        `/_matrix/${prefix}/download/${id}?allow_remote=false`,
        `/_matrix/${prefix}/download/${id}/name.jpg?allow_remote=false`,
        `/_matrix/${prefix}/thumbnail/${id}?width=32&height=32&allow_remote=false`,
      ]);
      for (const path of paths) assert.equal((await get(path)).status, 200, path);
      await ask(base(), `/_matrix/media/unstable/download/${id}`, { method: "DELETE", token: USER });
      await stack.edge.forget();
      for (const path of paths) {
        const heard = await get(path);
        assert.equal(heard.status, 404, path);
        assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
      }
    });

    test("#225 of media that is quarantined looks the same as of media that never was", async () => {
      const id = await upload(base(), USER, bytes());
      await stack.origin.app.db.query("UPDATE media SET quarantined_at = 1 WHERE media_id = $1", [id.split("/")[1]]);
      const [quarantined, absent] = [await get(download(id)), await get(download("example.org/never"))];
      assert.equal(quarantined.status, 404);
      assert.deepEqual(jsonOf(quarantined), jsonOf(absent));
    });
  });
}
