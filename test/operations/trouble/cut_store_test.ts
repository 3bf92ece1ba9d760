import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ACCOUNTS, startOrigin } from "../../support/app.ts";
import { openTestBucket } from "../../support/bucket.ts";
import { startCuttingProxy } from "../../support/cutting_proxy.ts";
import { listFiles } from "../../support/files.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, type Heard, jsonOf, upload } from "../../support/http.ts";
import { until } from "../../support/until.ts";

const USER = "token_of_user";
const BYTES = 300_000;
const AT_ONCE = 6;
const EACH = 12;
const UPLOAD = "/_matrix/media/v3/upload";

test("an S3 store whose connections are reset at any byte: right answers or clean breaks, and nothing acknowledged is lost", async (t) => {
  const homeserver = await startHomeserver(ACCOUNTS);
  t.after(() => homeserver.close());
  const { endpoint, bucket, accessKeyId, accessSecret } = await openTestBucket(t);
  const proxy = await startCuttingProxy(t, endpoint);
  const tempPath = await mkdtemp(join(tmpdir(), "mxcdn-test-"));
  t.after(() => rm(tempPath, { recursive: true, force: true }));
  const opts = JSON.stringify({ endpoint: proxy.url, bucketName: bucket, accessKeyId, accessSecret, tempPath });
  const text = `homeserver: example.org\ndatastores:\n  - { id: s3, type: s3, forKinds: [all], opts: ${opts} }\n`;
  const origin = await startOrigin(t, {
    homeservers: { "example.org": homeserver.url },
    files: [{ name: "domain.yaml", text }],
  });
  const download = (id: string) => ask(origin.url, `/_matrix/client/v1/media/download/${id}`, { token: USER });
  const content = randomBytes(BYTES);
  const known = await upload(origin.url, USER, content);

  const acknowledged = new Map<string, Buffer>();
  const outcomes = new Map<string, number>();
  const note = (what: string) => outcomes.set(what, (outcomes.get(what) ?? 0) + 1);
  function isTrouble(heard: Heard): void {
    assert.equal(heard.status, 503, heard.body.toString("latin1").slice(0, 200));
    assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
    assert.ok(Number(heard.headers["retry-after"]) > 0);
  }
  async function uploads(): Promise<void> {
    for (let n = 0; n < EACH; n += 1) {
      const body = randomBytes(BYTES);
      const heard = await ask(origin.url, UPLOAD, { method: "POST", token: USER, body });
      note(`upload ${heard.status}`);
      if (heard.status === 200) acknowledged.set(String(jsonOf(heard).content_uri).replace("mxc://", ""), body);
      else isTrouble(heard);
    }
  }
  async function downloads(): Promise<void> {
    for (let n = 0; n < 2 * EACH; n += 1) {
      // A break is one for the client too: nobody takes a part for the whole.
      const heard = await download(known).catch(() => undefined);
      note(`download ${heard?.status ?? "broken off"}`);
      if (heard?.status === 200) assert.ok(heard.body.equals(content));
      else if (heard) isTrouble(heard);
    }
  }

  proxy.cutWithin(3 * BYTES);
  await Promise.all(Array.from({ length: AT_ONCE / 2 }, () => [uploads(), downloads()]).flat());
  assert.ok(proxy.cuts > AT_ONCE, `${proxy.cuts} were cut`);
  proxy.cutWithin(0);
  await until(async () => (await download(known)).status === 200, "downloads work again");
  for (const [id, body] of acknowledged) assert.ok((await download(id)).body.equals(body), id);
  assert.equal((await ask(origin.url, UPLOAD, { method: "POST", token: USER, body: randomBytes(500) })).status, 200);
  await until(async () => (await listFiles(tempPath)).length === 0, "no temporary file is left");
  assert.ok(
    (outcomes.get("upload 200") ?? 0) > 0 && (outcomes.get("download 200") ?? 0) > 0,
    JSON.stringify([...outcomes]),
  );
});
