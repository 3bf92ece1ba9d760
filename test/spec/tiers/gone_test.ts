import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { startStack, type TestStack } from "../../support/app.ts";
import { listFiles } from "../../support/files.ts";
import { ask, jsonOf, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { untilEdgeForgets, untilRevoked } from "../../support/until_revoked.ts";

const USER = "token_of_user";
const OTHER = "token_of_other";
const lifetime = lifetimeOfSuite();
let stack: TestStack;

before(async () => {
  stack = await startStack(lifetime);
});

const download = (id: string) => `/_matrix/client/v1/media/download/${id}`;
const remove = (base: string, id: string, token = USER) =>
  ask(base, `/_matrix/media/unstable/download/${id}`, { method: "DELETE", token });
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** After a deletion the edge answers in time that there is nothing. */
async function isGone(id: string): Promise<void> {
  const heard = await untilRevoked(() => ask(stack.tiers.edge, download(id), { token: USER }));
  assert.equal(heard.status, 404);
  assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
}

describe("deletion", () => {
  test("is seen at the edge within two seconds, 100 of 100 times, also when it races the first fetch", async () => {
    const rounds = Array.from({ length: 100 }, (_, round) => round);
    const deleted: string[] = [];
    for (const round of rounds) {
      const id = await upload(stack.tiers.origin, USER, Buffer.from(`round ${round} ${"x".repeat(300)}`));
      // Every other round the deletion races the very first fetch, up to 12 ms late.
      const first = ask(stack.tiers.edge, download(id), { token: USER });
      if (round % 2 === 0) await first;
      else await pause(round % 13);
      const answer = await remove(stack.tiers.origin, id);
      assert.equal(answer.status, 200, answer.body.toString());
      await first;
      deleted.push(id);
    }
    await untilEdgeForgets();
    for (const id of deleted) assert.equal((await ask(stack.tiers.edge, download(id), { token: USER })).status, 404);
  });

  test("takes the thumbnails along", async () => {
    const { makePhoto } = await import("../../support/pictures.ts");
    const id = await upload(stack.tiers.edge, USER, await makePhoto(200, 200), { type: "image/jpeg" });
    const path = `/_matrix/client/v1/media/thumbnail/${id}?width=96&height=96&method=crop`;
    for (let times = 0; times < 2; times += 1)
      assert.equal((await ask(stack.tiers.edge, path, { token: USER })).status, 200);
    assert.equal((await remove(stack.tiers.edge, id)).status, 200);
    await stack.edge.forget();
    assert.equal((await ask(stack.tiers.edge, path, { token: USER })).status, 404);
    assert.equal((await ask(stack.tiers.origin, path, { token: USER })).status, 404);
  });

  test("is for the uploader and administrators only", async () => {
    const id = await upload(stack.tiers.origin, USER, "mine ".repeat(100));
    const refused = await remove(stack.tiers.edge, id, OTHER);
    assert.equal(refused.status, 403);
    assert.equal(jsonOf(refused).errcode, "M_FORBIDDEN");
    assert.equal((await ask(stack.tiers.edge, download(id), { token: USER })).status, 200);
    assert.equal((await remove(stack.tiers.edge, id, "token_of_admin")).status, 200);
    await isGone(id);
  });

  test("of one of two media with the same bytes leaves the other; of both, the object goes after the grace time", async () => {
    const body = Buffer.from(`shared ${Math.random()} ${"y".repeat(500)}`);
    const one = await upload(stack.tiers.origin, USER, body);
    const two = await upload(stack.tiers.origin, OTHER, body);
    assert.notEqual(one, two);
    const { rows } = await stack.origin.app.db.query<{ location: string }>(
      "SELECT DISTINCT location FROM media JOIN blobs USING (sha256) WHERE media_id = ANY ($1)",
      [[one, two].map((id) => id.split("/")[1])],
    );
    assert.equal(rows.length, 1, "one body");
    const isStored = async () => {
      const files = await listFiles(`${stack.origin.folder}/media`);
      return files.some((file) => file.endsWith(`${rows[0]?.location}`));
    };
    assert.ok(await isStored());

    await remove(stack.tiers.origin, one);
    await isGone(one);
    assert.ok((await ask(stack.tiers.edge, download(two), { token: OTHER })).body.equals(body));

    await remove(stack.tiers.origin, two, OTHER);
    await stack.origin.app.jobs.runNow("reap");
    assert.ok(await isStored(), "kept for the grace time");
    await stack.origin.app.db.query("UPDATE blobs SET doomed_at = 1 WHERE location = $1", [rows[0]?.location]);
    await stack.origin.app.jobs.runNow("reap");
    assert.equal(await isStored(), false, "the object is gone");
  });

  test("that crashed between the commit and the write to the edge is delivered by the job", async () => {
    const id = await upload(stack.tiers.edge, USER, "crash ".repeat(100));
    for (let times = 0; times < 2; times += 1) await ask(stack.tiers.edge, download(id), { token: USER });
    // What a crash leaves: the rows of the deletion are committed, the tombstone is in the outbox, nobody delivered it.
    const { deleteMedia } = await import("../../../origin/stores/db/tables/media.ts");
    const { enqueueOutbox } = await import("../../../origin/stores/db/tables/outbox.ts");
    const [serverName = "", mediaId = ""] = id.split("/");
    const at = Date.now() - 60_000;
    await stack.origin.app.db.transaction(async (tx) => {
      const deleted = await deleteMedia(tx, { serverName, mediaId }, at);
      assert.ok(deleted);
      const document = { v: 1, gen: deleted.generation, gone: true, at };
      await enqueueOutbox(tx, { key: `d/${id}`, generation: deleted.generation, document, createdAt: at });
    });
    await stack.origin.app.jobs.runNow("outbox");
    await isGone(id);
  });

  test("of what does not exist is done already", async () => {
    assert.equal((await remove(stack.tiers.origin, "example.org/never-was")).status, 200);
  });
});

describe("logout", () => {
  const logout = (base: string, token: string, all = false) =>
    ask(base, `/_matrix/client/v3/logout${all ? "/all" : ""}`, { method: "POST", token, body: "" });

  test("voids a token at both tiers within two seconds", async () => {
    const id = await upload(stack.tiers.origin, USER, "logout ".repeat(50));
    stack.homeserver.accounts.set("short_lived", { user_id: "@short:example.org" });
    for (const base of Object.values(stack.tiers)) {
      assert.equal((await ask(base, download(id), { token: "short_lived" })).status, 200);
    }
    assert.equal((await logout(stack.tiers.edge, "short_lived")).status, 200);
    assert.equal((await ask(stack.tiers.origin, download(id), { token: "short_lived" })).status, 401);
    await stack.edge.forget();
    const refused = await ask(stack.tiers.edge, download(id), { token: "short_lived" });
    assert.equal(refused.status, 401);
    assert.equal(jsonOf(refused).errcode, "M_UNKNOWN_TOKEN");
  });

  test("of all sessions voids every token of the user", async () => {
    const id = await upload(stack.tiers.origin, USER, "everywhere ".repeat(50));
    for (const token of ["all_1", "all_2", "all_3"]) {
      stack.homeserver.accounts.set(token, { user_id: "@all:example.org" });
      assert.equal((await ask(stack.tiers.edge, download(id), { token })).status, 200);
    }
    assert.equal((await logout(stack.tiers.origin, "all_1", true)).status, 200);
    await stack.edge.forget();
    for (const token of ["all_1", "all_2", "all_3"]) {
      assert.equal((await ask(stack.tiers.edge, download(id), { token })).status, 401);
    }
  });

  test("racing a validation under way wins, 60 of 60 times", async () => {
    const id = await upload(stack.tiers.origin, USER, "race ".repeat(50));
    stack.homeserver.delayMs = 20;
    const tokens = Array.from({ length: 60 }, (_, index) => `racing_${index}`);
    try {
      await Promise.all(
        tokens.map(async (token, index) => {
          stack.homeserver.accounts.set(token, { user_id: `@racing${index}:example.org` });
          const validation = ask(stack.tiers.edge, download(id), { token });
          await pause(index % 30);
          assert.equal((await logout(stack.tiers.origin, token)).status, 200);
          await validation;
        }),
      );
    } finally {
      stack.homeserver.delayMs = 0;
    }
    await untilEdgeForgets();
    const after = await Promise.all(tokens.map((token) => ask(stack.tiers.edge, download(id), { token })));
    assert.deepEqual(
      after.map((heard) => heard.status).filter((status) => status !== 401),
      [],
    );
  });
});
