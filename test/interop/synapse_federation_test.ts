import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, describe, test } from "node:test";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import sharp from "sharp";
import { importSeed, signRequest } from "../../origin/matrix/signing.ts";
import { parseDispositionFileName } from "../../shared/http/content_headers.ts";
import { makeAuthority } from "../support/certificates.ts";
import { freePort } from "../support/free_port.ts";
import { type Asking, ask, type Heard, untilHit, upload } from "../support/http.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";
import { makePhoto } from "../support/pictures.ts";
import { type Session, type Synapse, startSynapse } from "../support/synapse.ts";
import { findSynapse } from "../support/synapse_venv.ts";
import { OUR_USER, type OurServer, startOurServer } from "./our_server.ts";
import { download, refusal, TIERS } from "./stage.ts";

const synapseInstallation = await findSynapse();
const NAMES = ["ascii", "name with spaces", "name;with;semicolons", "\u{1F414}"];
const LARGE_BYTES = 8_000_000;

describe("media goes both ways between us and a real Synapse", { skip: synapseInstallation.skip }, () => {
  const lifetime = lifetimeOfSuite();
  let synapse: Synapse;
  let theirs: Session;
  let ours: OurServer;

  before(async () => {
    const authority = makeAuthority();
    lifetime.after(() => authority.close());
    setDefaultCACertificates([...getCACertificates("default"), authority.ca]);
    const port = await freePort();
    const tls = { ...authority.issue("DNS:localhost"), ca: authority.ca, port };
    const settings = { enable_authenticated_media: true };
    synapse = await startSynapse(lifetime, synapseInstallation, { serverName: `localhost:${port}`, tls, settings });
    theirs = await synapse.register();
    ours = await startOurServer(lifetime, authority, await freePort());
  });

  for (const tier of TIERS) {
    describe(`over the ${tier}`, () => {
      const base = () => ours.stack.tiers[tier];

      before(() => {
        ours.tier = tier;
      });

      for (const name of NAMES) {
        test(`their user sees our picture "${name}" under its name`, async () => {
          const photo = await makePhoto(200, 150);
          const id = await upload(base(), OUR_USER, photo, { type: "image/jpeg", name });
          assertShown(await download(synapse.url, id, { token: theirs.token }), photo, name);
        });

        test(`our user sees their picture "${name}" under its name`, async () => {
          const photo = await makePhoto(200, 150);
          const id = await upload(synapse.url, theirs.token, photo, { type: "image/jpeg", name });
          const first = await download(base(), id, { token: OUR_USER });
          assertShown(first, photo, name);
          const get = () => download(base(), id, { token: OUR_USER });
          assertShown(await (tier === "edge" ? untilHit(get) : get()), photo, name);
        });
      }

      test("their user sees a thumbnail of our picture, and ours one of theirs", async () => {
        const atUs = await upload(base(), OUR_USER, await makePhoto(400, 300), { type: "image/jpeg" });
        const atThem = await upload(synapse.url, theirs.token, await makePhoto(400, 300), { type: "image/jpeg" });
        await assertThumbnail(await thumbnail(synapse.url, atUs, { token: theirs.token }));
        await assertThumbnail(await thumbnail(base(), atThem, { token: OUR_USER }));
      });

      test("a thumbnail that is asked of us with Synapse's own signature comes in an envelope", async () => {
        const id = await upload(base(), OUR_USER, await makePhoto(400, 300), { type: "image/jpeg" });
        const uri = `/_matrix/federation/v1/media/thumbnail/${id.split("/")[1]}?width=96&height=96&method=crop`;
        const { keyId, seed } = synapse.signingKey;
        const { privateKey } = await importSeed(seed);
        const asking = { method: "GET", uri, origin: synapse.serverName, destination: ours.serverName };
        const authorization = await signRequest(asking, keyId, privateKey);
        const get = () => ask(base(), uri, { headers: { authorization } });
        for (const heard of [await get(), await (tier === "edge" ? untilHit(get) : get())]) {
          assert.equal(heard.status, 200, heard.body.toString());
          assert.match(heard.headers["content-type"] ?? "", /^multipart\/mixed; *boundary=/);
          const picture = heard.body.subarray(heard.body.indexOf(Buffer.from([0xff, 0xd8, 0xff])));
          const { width, height } = await sharp(picture).metadata();
          assert.deepEqual([width, height], [96, 96]);
        }
      });

      test("a large file arrives whole, either way", async () => {
        const file = randomBytes(LARGE_BYTES);
        const atUs = await upload(base(), OUR_USER, file);
        assert.ok((await download(synapse.url, atUs, { token: theirs.token })).body.equals(file));
        const atThem = await upload(synapse.url, theirs.token, file, { type: "application/octet-stream" });
        assert.ok((await download(base(), atThem, { token: OUR_USER })).body.equals(file));
      });

      test("what is not there is not found, either way", async () => {
        const missing = [404, "M_NOT_FOUND"];
        const atThem = await download(base(), `${synapse.serverName}/nothing`, { token: OUR_USER });
        assert.deepEqual(refusal(atThem), missing);
        const atUs = await download(synapse.url, `${ours.serverName}/nothing`, { token: theirs.token });
        assert.deepEqual(refusal(atUs), missing);
      });

      test("without a token theirs is not shown, and without a signature ours is not given", async () => {
        const atThem = await upload(synapse.url, theirs.token, await makePhoto(40, 30), { type: "image/jpeg" });
        assert.deepEqual(refusal(await ask(base(), `/_matrix/media/v3/download/${atThem}`)), [404, "M_NOT_FOUND"]);
        const atUs = await upload(base(), OUR_USER, await makePhoto(40, 30), { type: "image/jpeg" });
        const unsigned = await ask(base(), `/_matrix/federation/v1/media/download/${atUs.split("/")[1]}`);
        assert.equal(unsigned.status, 401);
      });
    });
  }
});

function thumbnail(base: string, id: string, asking: Asking): Promise<Heard> {
  return ask(base, `/_matrix/client/v1/media/thumbnail/${id}?width=96&height=96&method=crop`, asking);
}

function assertShown(heard: Heard, photo: Buffer, name: string): void {
  assert.equal(heard.status, 200, heard.body.toString().slice(0, 500));
  assert.ok(heard.body.equals(photo));
  assert.equal(heard.headers["content-type"], "image/jpeg");
  assert.equal(parseDispositionFileName(heard.headers["content-disposition"] ?? ""), name);
}

async function assertThumbnail(heard: Heard): Promise<void> {
  assert.equal(heard.status, 200, heard.body.toString().slice(0, 500));
  const { width, height } = await sharp(heard.body).metadata();
  assert.deepEqual([width, height], [96, 96]);
}
