import assert from "node:assert/strict";
import { after, test } from "node:test";
import { datastoresOf } from "../../../origin/config/files/place.ts";
import { parseConfig } from "../../../origin/config/load.ts";
import { silentLog } from "../../../origin/platform/log.ts";
import { Datastores } from "../../../origin/stores/objects/datastores.ts";

const read = (path: string, secret: string, more = "") =>
  datastoresOf(
    parseConfig([
      {
        name: "c.yaml",
        text: `homeservers: [{name: example.org, csApi: "http://synapse"}]
datastores:
  - {id: files, type: file, forKinds: [all], opts: {path: ${path}}}
  - {id: bucket, type: s3, opts: {endpoint: "http://127.0.0.1:9", bucketName: b, accessKeyId: k, accessSecret: ${secret}}}
${more}`,
      },
    ]).config,
  );

const datastores = new Datastores(read("/nowhere/one", "old"), {
  db: { query: () => Promise.reject(new Error("nothing is stored here")) },
  log: silentLog,
  steady: () => 0,
  metrics: { datastorePresent: () => {} },
});
after(() => datastores.close());

test("a datastore whose options are the same stays open", () => {
  const before = [...datastores.values()];
  datastores.follow(read("/nowhere/one", "old", "uploads: {maxBytes: 1}"));
  assert.deepEqual([...datastores.values()], before);
});

test("a bucket whose key has changed is opened anew", () => {
  const [files, bucket] = [datastores.find("files"), datastores.find("bucket")];
  datastores.follow(read("/nowhere/one", "rotated"));
  assert.equal(datastores.find("files"), files);
  assert.notEqual(datastores.find("bucket"), bucket);
  assert.deepEqual(datastores.elsewhere(read("/nowhere/one", "rotated")), []);
});

test("a datastore that is to be at another place stays where it is, and is named", () => {
  const files = datastores.find("files");
  const moved = read("/nowhere/two", "rotated");
  datastores.follow(moved);
  assert.equal(datastores.find("files"), files);
  assert.deepEqual(datastores.elsewhere(moved), ["files"]);
});

test("one that is new is opened", () => {
  const own = "{id: new, type: file, forKinds: [all], opts: {path: /nowhere/new}}";
  datastores.follow(withStore(own));
  assert.ok(datastores.find("new"));
  assert.ok(datastores.find("files"), "what is named no more is still to be read");
});

function withStore(store: string) {
  return datastoresOf(
    parseConfig([
      { name: "c.yaml", text: `homeservers: [{name: example.org, csApi: "http://synapse"}]\ndatastores: [${store}]\n` },
    ]).config,
  );
}
