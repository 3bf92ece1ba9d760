import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { parseConfig } from "../../../origin/config/load.ts";
import { startStack, type TestStack } from "../../support/app.ts";
import { ask, type Heard, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";
import { create, put } from "../uploads/stage.ts";

/** Specification checklist 7.7: new media is hidden from those who do not authenticate; media from before stays as it was. */

const USER = "token_of_user";
const LEGACY = ["v3", "r0", "v1"];
const lifetime = lifetimeOfSuite();
let stack: TestStack;
/** Uploaded while the freeze was off, while it was on, and when it was off again. */
const ids = { old: "", fresh: "", later: "", filled: "" };

async function freeze(on: boolean): Promise<void> {
  const text = stack.origin.yaml.replace(/^repo: \{/m, `repo: { freezeUnauthenticatedMedia: ${on},`);
  assert.notEqual(text, stack.origin.yaml);
  await stack.origin.app.reconfigure(parseConfig([{ name: "test.yaml", text }]).config);
}

before(async () => {
  stack = await startStack(lifetime);
  const photo = async () => await upload(stack.tiers.origin, USER, await makePhoto(64, 64), { type: "image/jpeg" });
  await freeze(false);
  ids.old = await photo();
  ids.filled = await create(stack.tiers.origin, USER);
  await freeze(true);
  ids.fresh = await photo();
  await put(stack.tiers.origin, USER, ids.filled, {
    body: await makePhoto(64, 64),
    headers: { "content-type": "image/jpeg" },
  });
});

const pathsOf = (prefix: string, id: string) => [
  `/_matrix/${prefix}/download/${id}`,
  `/_matrix/${prefix}/download/${id}/name.jpg`,
  `/_matrix/${prefix}/thumbnail/${id}?width=32&height=32&method=crop`,
];
const legacyPaths = (id: string) => LEGACY.flatMap((version) => pathsOf(`media/${version}`, id));

function hidden(heard: Heard, what: string): void {
  assert.equal(heard.status, 404, what);
  const { errcode, error } = jsonOf(heard);
  assert.deepEqual({ errcode, error }, { errcode: "M_NOT_FOUND", error: "Media not found" });
}

/** Each path several times: cold, and from the edge's bucket. */
async function each(paths: readonly string[], check: (base: string, path: string) => Promise<void>): Promise<void> {
  for (const base of Object.values(stack.tiers)) {
    for (const path of paths) for (let times = 0; times < 3; times += 1) await check(base, path);
  }
}

describe("with the freeze on", () => {
  test("#31 #119 #126 media from before is there without a token, on every legacy path", async () => {
    await each(legacyPaths(ids.old), async (base, path) => {
      assert.equal((await ask(base, path)).status, 200, path);
    });
  });

  test("#118 #126 media from after is 404 M_NOT_FOUND without a token, as if it did not exist, thumbnails too", async () => {
    await each(legacyPaths(ids.fresh), async (base, path) => {
      hidden(await ask(base, path), path);
    });
  });

  test("#118 it stays hidden when the edge has it from those who authenticate", async () => {
    const { edge } = stack.tiers;
    for (const path of pathsOf("client/v1/media", ids.fresh)) {
      for (let times = 0; times < 3; times += 1) assert.equal((await ask(edge, path, { token: USER })).status, 200);
    }
    for (const path of legacyPaths(ids.fresh)) {
      hidden(await ask(edge, path), path);
      hidden(await ask(edge, path, { token: "nobody's" }), path);
      hidden(await ask(edge, path, { token: "token_of_guest" }), path);
      hidden(await ask(edge, path, { headers: { "if-none-match": "*", range: "bytes=0-1" } }), path);
    }
  });

  test("#124 the authenticated paths serve both, to guests too", async () => {
    const paths = [ids.old, ids.fresh].flatMap((id) => pathsOf("client/v1/media", id));
    await each(paths, async (base, path) => {
      for (const token of [USER, "token_of_guest"]) assert.equal((await ask(base, path, { token })).status, 200, path);
    });
  });

  test("#122 an id that was reserved before the freeze and filled after it is new", async () => {
    await each(legacyPaths(ids.filled), async (base, path) => {
      hidden(await ask(base, path), path);
    });
  });

  test("the legacy paths serve it to those who bring a token all the same", async () => {
    await each(legacyPaths(ids.fresh), async (base, path) => {
      assert.equal((await ask(base, path, { token: USER })).status, 200, path);
    });
  });
});

describe("with the freeze off again", () => {
  before(async () => {
    await freeze(false);
    ids.later = await upload(stack.tiers.edge, USER, await makePhoto(64, 64), { type: "image/jpeg" });
  });

  test("#125 what was hidden stays hidden, what was shown stays shown, what is new is shown", async () => {
    await each(legacyPaths(ids.fresh), async (base, path) => hidden(await ask(base, path), path));
    await each([...legacyPaths(ids.old), ...legacyPaths(ids.later)], async (base, path) => {
      assert.equal((await ask(base, path)).status, 200, path);
    });
  });

  test("#125 and what is new now stays shown when it is switched on", async () => {
    await freeze(true);
    await each(legacyPaths(ids.later), async (base, path) => {
      assert.equal((await ask(base, path)).status, 200, path);
    });
    await each(legacyPaths(ids.fresh), async (base, path) => hidden(await ask(base, path), path));
  });
});
