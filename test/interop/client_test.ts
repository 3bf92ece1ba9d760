import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, describe, test } from "node:test";
import { createClient, type MatrixClient } from "matrix-js-sdk";
import sharp from "sharp";
import { startStack, type TestStack } from "../support/app.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";
import { makePhoto } from "../support/pictures.ts";
import { type Synapse, startSynapse } from "../support/synapse.ts";
import { findSynapse } from "../support/synapse_venv.ts";
import { untilRevoked } from "../support/until_revoked.ts";
import { startProxy } from "./reverse_proxy.ts";
import { TIERS } from "./stage.ts";

const synapseInstallation = await findSynapse();
const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, getChild: () => silent };

describe("matrix-js-sdk, before a homeserver that is a double", () => {
  const lifetime = lifetimeOfSuite();
  let stack: TestStack;

  before(async () => {
    stack = await startStack(lifetime);
  });

  for (const tier of TIERS) {
    describe(`over the ${tier}`, () => {
      useOf(async () => {
        const name = `u${randomBytes(4).toString("hex")}`;
        const account = { user_id: `@${name}:example.org`, device_id: name };
        stack.homeserver.accounts.set(name, account);
        const baseUrl = await startProxy(lifetime, {
          media: () => stack.tiers[tier],
          homeserver: stack.homeserver.url,
        });
        return createClient({ baseUrl, accessToken: name, userId: account.user_id, deviceId: name, logger: silent });
      });
    });
  }
});

describe("matrix-js-sdk, before Synapse", { skip: synapseInstallation.skip }, () => {
  const lifetime = lifetimeOfSuite();
  let synapse: Synapse;
  let stack: TestStack;

  before(async () => {
    synapse = await startSynapse(lifetime, synapseInstallation);
    stack = await startStack(lifetime, { homeservers: { [synapse.serverName]: synapse.url } });
  });

  for (const tier of TIERS) {
    describe(`over the ${tier}`, () => {
      useOf(async () => {
        const { userId: user, password } = await synapse.register();
        const baseUrl = await startProxy(lifetime, { media: () => stack.tiers[tier], homeserver: synapse.url });
        const stranger = createClient({ baseUrl, logger: silent });
        const identifier = { type: "m.id.user", user };
        const session = await stranger.loginRequest({ type: "m.login.password", identifier, password });
        const { access_token: accessToken, user_id: userId, device_id: deviceId } = session;
        return createClient({ baseUrl, accessToken, userId, deviceId, logger: silent });
      });
    });
  }
});

/** What a client does with media, from its first question to its logout. */
function useOf(logIn: () => Promise<MatrixClient>): void {
  let client: MatrixClient;
  let photo: Buffer<ArrayBuffer>;
  let uri: string;

  /** As Element fetches a picture: by the URL that the SDK makes, with the token in a header. */
  async function show(url: string | null, token = client.getAccessToken()): Promise<Response> {
    assert.ok(url);
    return await fetch(url, token ? { headers: { authorization: `Bearer ${token}` } } : {});
  }

  before(async () => {
    client = await logIn();
    photo = Buffer.from(await makePhoto(400, 300));
    const uploaded = await client.uploadContent(photo, { name: "a photo; of 🐔.jpg", type: "image/jpeg" });
    uri = uploaded.content_uri;
  });

  test("it finds that media is authenticated here", async () => {
    assert.ok(await client.isVersionSupported("v1.10"), "said by the homeserver");
    assert.ok(await client.doesServerSupportUnstableFeature("org.matrix.msc3916.stable"), "said by the repository");
  });

  test("it uploads, and downloads the same bytes under the same name and type", async () => {
    assert.match(uri, /^mxc:\/\//);
    const url = client.mxcUrlToHttp(uri, undefined, undefined, undefined, false, true, true);
    assert.match(String(url), /\/_matrix\/client\/v1\/media\/download\//);
    for (let times = 0; times < 2; times += 1) {
      const shown = await show(url);
      assert.equal(shown.status, 200);
      assert.equal(shown.headers.get("content-type"), "image/jpeg");
      assert.match(
        shown.headers.get("content-disposition") ?? "",
        /^inline; .*filename\*=utf-8''a%20photo%3B%20of%20%F0%9F%90%94\.jpg/i,
      );
      assert.ok(Buffer.from(await shown.arrayBuffer()).equals(photo));
    }
  });

  test("it uploads a Blob, and keeps its type", async () => {
    const text = `a text of ${uri}, long enough to be worth a place of its own in somebody's media repository`.repeat(
      2,
    );
    const { content_uri: of } = await client.uploadContent(new Blob([text], { type: "text/plain" }));
    const shown = await show(client.mxcUrlToHttp(of, undefined, undefined, undefined, false, true, true));
    assert.equal(shown.headers.get("content-type"), "text/plain");
    assert.equal(await shown.text(), text);
  });

  for (const [width, height, method] of [
    [96, 96, "crop"],
    [320, 240, "scale"],
  ] as const) {
    test(`it shows a thumbnail of ${width} × ${height} (${method})`, async () => {
      const shown = await show(client.mxcUrlToHttp(uri, width, height, method, false, true, true));
      assert.equal(shown.status, 200);
      const picture = await sharp(Buffer.from(await shown.arrayBuffer())).metadata();
      assert.deepEqual([picture.width, picture.height], [width, height]);
    });
  }

  test("without the token, or by the old URL, the media is not shown", async () => {
    const url = client.mxcUrlToHttp(uri, undefined, undefined, undefined, false, true, true);
    assert.equal((await show(url, "")).status, 401);
    assert.equal((await show(client.mxcUrlToHttp(uri), "")).status, 404);
  });

  test("it learns how much it may upload, by both paths", async () => {
    for (const authenticated of [true, false]) {
      const { "m.upload.size": size } = await client.getMediaConfig(authenticated);
      assert.equal(size, 104_857_600);
    }
  });

  test("it logs out, and its token is worth nothing", async () => {
    const token = client.getAccessToken();
    const url = client.mxcUrlToHttp(uri, undefined, undefined, undefined, false, true, true);
    assert.equal((await show(url, token)).status, 200);
    await client.logout(true);
    assert.equal((await untilRevoked(() => show(url, token))).status, 401);
    await assert.rejects(client.whoami(), { errcode: "M_UNKNOWN_TOKEN" });
    await assert.rejects(client.uploadContent(photo), { errcode: "M_UNKNOWN_TOKEN" });
  });
}
