import assert from "node:assert/strict";
import { test } from "node:test";
import { type Candidate, makePickDatastore } from "./pick.ts";

type Kind = "local_media" | "thumbnails";

function candidate(id: string, ...forKinds: (Kind | "all")[]): Candidate<string, Kind> {
  return { id, forKinds, store: `store of ${id}` };
}

const never = () => assert.fail("there was no choice");

test("makePickDatastore picks the only one that takes the kind without estimating anything", async () => {
  const pick = makePickDatastore([candidate("a", "thumbnails"), candidate("b", "local_media"), candidate("c")], never);
  assert.equal(await pick("local_media"), "store of b");
  assert.equal(await pick("thumbnails"), "store of a");
});

test("makePickDatastore picks the one with the fewest bytes; one of which nothing is known holds none", async () => {
  const stores = [candidate("a", "all"), candidate("b", "local_media"), candidate("c", "all")];
  const bytes = new Map([
    ["a", 30],
    ["b", 10],
    ["c", 20],
  ]);
  const pick = makePickDatastore(stores, async () => bytes);
  assert.equal(await pick("local_media"), "store of b");
  assert.equal(await pick("thumbnails"), "store of c");
  bytes.delete("a");
  assert.equal(await pick("local_media"), "store of a");
});

test("makePickDatastore picks the first of equals, in the order of the configuration", async () => {
  const pick = makePickDatastore([candidate("a", "all"), candidate("b", "all")], async () => new Map());
  assert.equal(await pick("thumbnails"), "store of a");
});

test("makePickDatastore throws when no datastore takes the kind: those without kinds are only read", async () => {
  await assert.rejects(makePickDatastore([candidate("a")], never)("thumbnails"), /no datastore .* takes thumbnails/);
});
