import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { ask, upload } from "../support/http.ts";
import type { Lifetime } from "../support/lifetime.ts";
import { openStage, SERVER, USER, until, userToken } from "./stage.ts";

/** Servers that take connections and never say a word: their names, how many connections they took, and what hangs up on all. */
async function startSilent(lifetime: Lifetime, count: number) {
  const sockets = new Set<Socket>();
  const names: string[] = [];
  let over = false;
  for (let at = 0; at < count; at += 1) {
    const server = createServer((socket) => {
      sockets.add(socket.on("error", () => undefined));
      if (over) socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    lifetime.after(() => server.close());
    names.push(`127.0.0.1:${(server.address() as { port: number }).port}`);
  }
  const hangUp = () => {
    over = true;
    for (const socket of sockets) socket.destroy();
  };
  lifetime.after(hangUp);
  return { names, held: () => sockets.size, hangUp };
}

describe("servers that do not answer hold up nobody but those who name them", () => {
  test("when anybody names them as the sender of a request", async (t) => {
    const stage = await openStage(t);
    const { names, held, hangUp } = await startSilent(t, 60);
    const path = `/_matrix/federation/v1/media/download/${(await upload(stage.url, USER, "ours ".repeat(50))).split("/")[1]}`;
    const naming = (name: string) =>
      ask(stage.url, path, {
        headers: {
          authorization: `X-Matrix origin="${name}",destination="${SERVER}",key="ed25519:x",sig="${"A".repeat(86)}"`,
          "x-forwarded-for": "192.0.2.66",
        },
      });
    const flood = names.map(naming);
    await until(() => held() >= 8);
    const honest = ask(stage.url, path, {
      headers: { authorization: await stage.remote.sign(SERVER, path), "x-forwarded-for": "192.0.2.7" },
    });
    const first = await Promise.race([honest, ...flood]);
    assert.equal(first.status, 200, "the honest server is answered first");
    assert.equal(held(), 8, "of one address so many are asked at once");
    hangUp();
    for (const { status } of await Promise.all(flood)) assert.ok(status === 502 || status === 503, String(status));
  });

  test("when a user asks for media of them", async (t) => {
    const stage = await openStage(t, { users: 3 });
    const { names, held, hangUp } = await startSilent(t, 2);
    stage.remote.media.set("good", { bytes: Buffer.from("good") });
    const path = (name: string, id: string) => stage.path(id).replace(stage.remote.name, name);
    const flood = Array.from({ length: 40 }, (_, at) =>
      ask(stage.url, path(names[at % 2] ?? "", `slow${at}`), { token: userToken(1) }),
    );
    await until(() => held() >= 5);
    // Also what the first user waits for, and another one asks for now.
    const wanted = stage.get("good", { token: userToken(1) });
    const heard = await stage.get("good", { token: userToken(2) });
    assert.equal(heard.body.toString(), "good");
    assert.equal((await wanted).body.toString(), "good");
    assert.equal(held(), 5, "one user has half of the places");
    hangUp();
    for (const { status } of await Promise.all(flood)) assert.ok(status >= 502, String(status));
  });
});
