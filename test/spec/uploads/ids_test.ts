import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { isMediaId } from "../../../shared/matrix/mxc.ts";
import { ask, jsonOf, upload } from "../../support/http.ts";
import { create, download, newUser, originForFile, put, SERVER, stackForFile } from "./stage.ts";

/** Specification checklist 7.2: mxc URIs, server names, media ids. */

const vectors = JSON.parse(readFileSync(new URL("../../vectors/matrix_spec.json", import.meta.url), "utf8"));
const VALID: string[] = vectors.server_names.valid_spec;
const INVALID: string[] = vectors.server_names.invalid_derived;
const stack = stackForFile();
const USER = "token_of_user";

/** Every endpoint that takes a media, as a path before the media and a query. Nothing is fetched from other servers by any of them. */
const OF_MEDIA: readonly [string, string, string][] = [
  ["GET", "/_matrix/client/v1/media/download", ""],
  ["GET", "/_matrix/client/v1/media/thumbnail", "?width=1&height=1"],
  ["GET", "/_matrix/media/v3/download", ""],
  ["GET", "/_matrix/media/r0/thumbnail", "?width=1&height=1"],
  ["PUT", "/_matrix/media/v3/upload", ""],
  ["DELETE", "/_matrix/media/unstable/download", ""],
  ["GET", "/_matrix/media/unstable/info", ""],
  ["GET", "/_matrix/media/unstable/local_copy", ""],
];

for (const tier of ["origin", "edge"] as const) {
  const base = () => stack().tiers[tier];

  describe(`through the ${tier}`, () => {
    test("#16 #17 every endpoint refuses what is no server name and what is no media id", async () => {
      const bad = [
        ...INVALID.filter((name) => name !== "").map((name) => `${encodeURIComponent(name)}/abc`),
        ...["a.b", "a%20b", "%C3%A9", "a%2Fb", "a%00", "a+b", "a=b", "a~b"].map((id) => `${SERVER}/${id}`),
      ];
      for (const [method, path, query] of OF_MEDIA) {
        const body = method === "PUT" ? "x".repeat(200) : undefined;
        for (const media of bad) {
          const heard = await ask(base(), `${path}/${media}${query}`, { method, token: USER, body });
          assert.equal(heard.status, 400, `${method} ${path}/${media}`);
          assert.equal(jsonOf(heard).errcode, "M_INVALID_PARAM");
        }
      }
    });

    test("#18 paths that lead out of the media are refused by every endpoint", async () => {
      const attacks = [
        "..%2f..%2f..%2fsome_service%2fetc%2fpasswd",
        "%2e%2e",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%5c..",
        "%252e%252e",
      ];
      for (const [method, path, query] of OF_MEDIA) {
        const body = method === "PUT" ? "x".repeat(200) : undefined;
        for (const attack of attacks) {
          const heard = await ask(base(), `${path}/127.0.0.1/${attack}${query}`, { method, token: USER, body });
          // What no URL can hold as it is reaches no endpoint through the edge.
          assert.ok(heard.status === 400 || heard.status === 404, `${method} ${path}/…/${attack}: ${heard.status}`);
          assert.ok(["M_INVALID_PARAM", "M_UNRECOGNIZED"].includes(String(jsonOf(heard).errcode)), attack);
        }
      }
    });

    test("#19 #27 ids that are given out are of the alphabet, and stand under the homeserver's own name", async () => {
      const token = newUser(stack().homeserver);
      const seen = new Set<string>();
      for (let times = 0; times < 20; times += 1) {
        const id = await upload(base(), token, `a file, number ${times}, ${"x".repeat(100)}`, {
          headers: { host: "somewhere.else.example" },
        });
        seen.add(id);
      }
      seen.add(await create(base(), token));
      assert.equal(seen.size, 21);
      for (const id of seen) {
        const [server, mediaId = ""] = id.split("/");
        assert.equal(server, SERVER);
        assert.ok(isMediaId(mediaId) && mediaId.length >= 20, mediaId);
      }
    });

    test("#20 names of servers and ids of media are told apart by case", async () => {
      const id = await upload(base(), USER, "words ".repeat(50));
      const [server = "", mediaId = ""] = id.split("/");
      const swapped = mediaId.replace(/[a-z]/gi, (letter) =>
        letter < "a" ? letter.toLowerCase() : letter.toUpperCase(),
      );
      for (const other of [`${server.toUpperCase()}/${mediaId}`, `${server}/${swapped}`]) {
        const path = `/_matrix/media/v3/download/${other}?allow_remote=false`;
        const heard = await ask(base(), path, { token: USER });
        assert.equal(heard.status, 404, other);
        assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
      }
      assert.equal((await ask(base(), download(id), { token: USER })).status, 200);
    });

    test("#22 the server names of the specification are taken for such", async () => {
      assert.ok(VALID.length >= 6);
      for (const name of VALID) {
        const path = `/_matrix/media/v3/download/${encodeURIComponent(name)}/abc?allow_remote=false`;
        const heard = await ask(base(), path, { token: USER });
        assert.equal(heard.status, 404, name);
        assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
      }
    });

    test("#24 an id may have 255 characters, and no more", async () => {
      for (const [length, status] of [
        [255, 404],
        [256, 400],
      ] as const) {
        const path = download(`${SERVER}/${"a".repeat(length)}`);
        assert.equal((await ask(base(), path, { token: USER })).status, status);
      }
    });
  });
}

describe("ids", () => {
  const drawn: string[] = [];
  const lone = originForFile({ overrides: { makeMediaId: () => drawn.shift() ?? "never_drawn" } });

  test("#25 are never given out again, not after the media is deleted, nor after a reservation is filled and deleted", async () => {
    const token = newUser(lone().homeserver);
    const remove = (id: string) =>
      ask(lone().url, `/_matrix/media/unstable/download/${id}`, { method: "DELETE", token });
    drawn.push("first", "first", "first", "second", "second", "first", "third");
    const first = await upload(lone().url, token, "words ".repeat(50));
    assert.equal(first, `${SERVER}/first`);
    assert.equal((await remove(first)).status, 200);
    const second = await create(lone().url, token);
    assert.equal(second, `${SERVER}/second`);
    await put(lone().url, token, second);
    assert.equal((await remove(second)).status, 200);
    assert.equal(await upload(lone().url, token, "words ".repeat(50)), `${SERVER}/third`);
    assert.equal((await ask(lone().url, download(first), { token })).status, 404);
  });
});
