import assert from "node:assert/strict";
import { test } from "node:test";
import { startOrigin } from "../../support/app.ts";
import { databaseKinds, newDatabase } from "../../support/database.ts";
import { ask } from "../../support/http.ts";
import { bytes, CREATE, create, download, newUser, put, SERVER, startLone } from "./stage.ts";

const skip = databaseKinds().find((kind) => kind.name === "postgres")?.skip ?? false;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Two processes' worth of origin over one database and one datastore. */
async function startTwo(t: { after(close: () => unknown): void }, yaml = "") {
  const database = await newDatabase(8);
  const closers: (() => unknown)[] = [() => database.drop()];
  t.after(async () => {
    for (const close of closers.reverse()) await close();
  });
  const lifetime = { after: (close: () => unknown) => void closers.push(close) };
  // A slow look, so that only a notification can be the reason for a quick answer.
  const overrides = { recheckMs: 60_000 };
  const one = await startLone(lifetime, { postgres: database.url, overrides, yaml });
  const other = await startOrigin(lifetime, {
    homeservers: { [SERVER]: one.homeserver.url },
    postgres: database.url,
    folder: one.folder,
    overrides,
    yaml,
  });
  return { one, other, homeserver: one.homeserver };
}

test("#87 who waits at one process is woken at once by an upload at another", { skip }, async (t) => {
  const { one, other, homeserver } = await startTwo(t);
  const token = newUser(homeserver);
  for (let round = 0; round < 5; round += 1) {
    const id = await create(one.url, token);
    const waiting = [one, other, other].map(({ url }) => ask(url, download(id, "?timeout_ms=60000"), { token }));
    await pause(150);
    const body = bytes();
    const start = performance.now();
    assert.equal((await put(one.url, token, id, { body })).status, 200);
    const heard = await Promise.all(waiting);
    assert.ok(performance.now() - start < 40_000, "not woken, but out of patience");
    for (const answer of heard) assert.deepEqual(answer.body, body);
  }
});

test("#80 of two PUTs at two processes exactly one succeeds, 20 of 20 times", { skip }, async (t) => {
  const { one, other, homeserver } = await startTwo(t);
  const token = newUser(homeserver);
  for (let round = 0; round < 20; round += 1) {
    const id = await create(one.url, token);
    const bodies = [bytes(), bytes()];
    const heard = await Promise.all([one, other].map(({ url }, at) => put(url, token, id, { body: bodies[at] })));
    assert.deepEqual(heard.map((answer) => answer.status).sort(), [200, 409]);
    const winner = bodies[heard.findIndex((answer) => answer.status === 200)];
    assert.deepEqual((await ask(other.url, download(id), { token })).body, winner);
  }
});

test("#70 the limit on ids that wait holds over two processes", { skip }, async (t) => {
  const { one, other, homeserver } = await startTwo(t, "uploads: { maxPending: 4 }");
  const token = newUser(homeserver);
  const asked = Array.from({ length: 20 }, (_, at) =>
    ask((at % 2 === 0 ? one : other).url, CREATE, { method: "POST", token }),
  );
  const statuses = (await Promise.all(asked)).map((heard) => heard.status);
  assert.equal(statuses.filter((status) => status === 200).length, 4);
  assert.equal(statuses.filter((status) => status === 429).length, 16);
});
