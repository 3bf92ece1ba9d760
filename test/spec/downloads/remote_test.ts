import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { parseConfig } from "../../../origin/config/load.ts";
import { bombPng } from "../../contract/imaging/support/hostile_files.ts";
import { startStack, type TestStack } from "../../support/app.ts";
import { ask, type Heard, jsonOf } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";
import { LOOPBACK_FEDERATION, makeOwnKey, makeRemoteWorld, type RemoteServer } from "../../support/remote_server.ts";
import { readDisposition } from "./disposition.ts";

/** What the checklist demands of media of other servers beyond fetching it (which is in `test/federation`), at both tiers. */

const SERVER = "example.org";
const USER = "token_of_user";
const MAX_SOURCE_BYTES = 50_000;
const lifetime = lifetimeOfSuite();
let stack: TestStack;
let remote: RemoteServer;
let ownKey: { readonly name: string; readonly text: string };

before(async () => {
  const world = makeRemoteWorld(lifetime);
  remote = await world.start();
  const key = await makeOwnKey(lifetime);
  remote.known.set(SERVER, key.publicKey);
  ownKey = key.configure(SERVER);
  stack = await startStack(lifetime, {
    serverName: SERVER,
    yaml: `federation: ${LOOPBACK_FEDERATION}
admins: ["@admin:${SERVER}"]
thumbnails: { maxSourceBytes: ${MAX_SOURCE_BYTES} }
`,
    files: [ownKey],
    overrides: { outboundCa: world.authority.ca },
  });
});

let count = 0;
/** A media of the other server that nobody here has asked for, as server name and id. */
function offer(bytes: Buffer, more: { type?: string; disposition?: string } = {}): string {
  count += 1;
  remote.media.set(`media${count}`, { bytes, ...more });
  return `${remote.name}/media${count}`;
}

async function freeze(on: boolean): Promise<void> {
  const text = stack.origin.yaml.replace(/^repo: \{/m, `repo: { freezeUnauthenticatedMedia: ${on},`);
  await stack.origin.app.reconfigure(parseConfig([{ name: "test.yaml", text }, ownKey]).config);
}

const refused = (heard: Heard, status: number, errcode: string) => {
  assert.equal(heard.status, status, heard.body.toString());
  assert.equal(jsonOf(heard).errcode, errcode);
};

for (const tier of ["origin", "edge"] as const) {
  const base = () => stack.tiers[tier];
  const download = (id: string) => ask(base(), `/_matrix/client/v1/media/download/${id}`, { token: USER });
  const legacy = (id: string, token?: string) => ask(base(), `/_matrix/media/v3/download/${id}`, { token });
  const thumbnail = (id: string) =>
    ask(base(), `/_matrix/client/v1/media/thumbnail/${id}?width=32&height=32&method=crop`, { token: USER });

  describe(`media of another server through the ${tier}`, () => {
    test("#91 #94 #95 #98 has the type and the name that its server tells, and the disposition that we find safe", async () => {
      const cases: [string, string, string, string | undefined][] = [
        ["image/png", 'attachment; filename="a b;c.png"', "inline", "a b;c.png"],
        ["text/html", "inline; filename=page.html", "attachment", "page.html"],
        ["image/svg+xml", "inline; filename*=UTF-8''%F0%9F%90%94.svg", "attachment", "🐔.svg"],
        ["text/plain; charset=utf-8", "inline", "inline", undefined],
      ];
      for (const [type, disposition, kind, fileName] of cases) {
        const id = offer(Buffer.from(`of type ${type} ${"x".repeat(200)}`), { type, disposition });
        for (let times = 0; times < 3; times += 1) {
          const heard = await download(id);
          assert.equal(heard.status, 200);
          assert.equal(heard.headers["content-type"], type);
          assert.deepEqual(readDisposition(heard.headers["content-disposition"]), { kind, fileName });
        }
      }
    });

    test("#92 is application/octet-stream where its server tells no type, and attached", async () => {
      const id = offer(Buffer.from("of no type ".repeat(30)));
      const heard = await download(id);
      assert.equal(heard.headers["content-type"], "application/octet-stream");
      assert.equal(heard.headers["content-disposition"], "attachment");
    });

    test("#145 has no thumbnail where it has too many bytes or pixels for one: 502 M_TOO_LARGE", async () => {
      const photo = Buffer.concat([await makePhoto(64, 64), Buffer.alloc(MAX_SOURCE_BYTES)]);
      const id = offer(photo, { type: "image/jpeg" });
      const bomb = offer(bombPng(30_000, 30_000), { type: "image/png" });
      for (const one of [id, bomb, id, bomb]) refused(await thumbnail(one), 502, "M_TOO_LARGE");
    });

    test("#120 #121 counts as old or new by when it came here, not by its age, and when it comes again it is new", async () => {
      await freeze(false);
      const before = offer(Buffer.from("came before the freeze ".repeat(20)));
      assert.equal((await download(before)).status, 200);
      await freeze(true);
      const after = offer(Buffer.from("came after the freeze ".repeat(20)));
      assert.equal((await download(after)).status, 200);
      assert.equal((await legacy(before)).status, 200);
      refused(await legacy(after), 404, "M_NOT_FOUND");
      assert.equal((await legacy(after, USER)).status, 200);

      const path = `/_matrix/media/unstable/download/${before}`;
      assert.equal((await ask(base(), path, { method: "DELETE", token: "token_of_admin" })).status, 200);
      await stack.edge.forget();
      assert.equal((await download(before)).status, 200, "fetched again");
      refused(await legacy(before), 404, "M_NOT_FOUND");
    });
  });
}
