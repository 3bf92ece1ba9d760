import assert from "node:assert/strict";
import { before, test } from "node:test";
import { startStack, type TestStack } from "../support/app.ts";
import { ask, untilHit } from "../support/http.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";
import {
  envelope,
  LOOPBACK_FEDERATION,
  makeOwnKey,
  makeRemoteWorld,
  type RemoteServer,
} from "../support/remote_server.ts";
import { requestsSeen } from "../support/requests_seen.ts";
import { openStream, until } from "./stage.ts";

const SERVER = "example.org";
const USER = "token_of_user";
const DOWNLOAD = "/_matrix/federation/v1/media/download/";
const lifetime = lifetimeOfSuite();
let remote: RemoteServer;
let stack: TestStack;

before(async () => {
  const world = makeRemoteWorld(lifetime);
  remote = await world.start();
  const key = await makeOwnKey(lifetime);
  remote.known.set(SERVER, key.publicKey);
  stack = await startStack(lifetime, {
    serverName: SERVER,
    yaml: `federation: ${LOOPBACK_FEDERATION}`,
    files: [key.configure(SERVER)],
    overrides: { outboundCa: world.authority.ca },
  });
});

const path = (id: string) => `/_matrix/client/v1/media/download/${remote.name}/${id}`;

/** Sends half of a media, and the rest (or nothing more) when told to. `announced`: the part says how long it is. */
function offerSlowly(id: string, bytes: Buffer, announced: boolean): (how?: "end" | "break") => void {
  const gate = Promise.withResolvers<"end" | "break">();
  remote.instead.set(DOWNLOAD + id, async (_, response) => {
    const plain = envelope({ bytes, type: "video/mp4" }).toString("latin1");
    const length = announced ? `\r\nContent-Length: ${bytes.length}` : "";
    const whole = Buffer.from(plain.replace("video/mp4", `video/mp4${length}`), "latin1");
    response.writeHead(200, { "content-type": "multipart/mixed; boundary=b0undary" });
    response.write(whole.subarray(0, whole.length / 2));
    if ((await gate.promise) === "break") response.destroy();
    else response.end(whole.subarray(whole.length / 2));
  });
  return (how = "end") => gate.resolve(how);
}

test("remote media flows through the edge while it is fetched, and is the edge's own when it is published", async () => {
  const bytes = Buffer.alloc(2_000_000, "from far away ");
  const go = offerSlowly("far", bytes, true);
  const first = await openStream(stack.tiers.edge, path("far"), { token: USER });
  await first.received(900_000);
  go();
  assert.ok((await first.end()).equals(bytes));
  await untilHit(() => ask(stack.tiers.edge, path("far"), { token: USER }));
  const seen = await requestsSeen(stack.origin.app.metrics);
  for (let round = 0; round < 3; round += 1) {
    const heard = await ask(stack.tiers.edge, path("far"), { token: USER });
    assert.ok(heard.body.equals(bytes));
    assert.match(heard.headers["cache-status"] ?? "", /hit/);
  }
  assert.equal(await requestsSeen(stack.origin.app.metrics), seen);
  assert.equal(remote.asked(`${DOWNLOAD}far`), 1);
});

test("of unknown length it comes when it is whole: at the edge a broken answer without length would look whole", async () => {
  const bytes = Buffer.alloc(2_000_000, "who knows how long ");
  const go = offerSlowly("unknown", bytes, false);
  const asked = ask(stack.tiers.edge, path("unknown"), { token: USER });
  await until(() => remote.asked(`${DOWNLOAD}unknown`) === 1);
  setTimeout(go, 200);
  const heard = await asked;
  assert.ok(heard.body.equals(bytes));
  assert.equal(heard.headers["content-length"], "2000000");
});

for (const announced of [true, false]) {
  test(`it breaks off through the edge too, and is published nowhere, its length ${announced ? "" : "not "}announced`, async () => {
    const id = `broken-${announced}`;
    const go = offerSlowly(id, Buffer.alloc(2_000_000, "broken "), announced);
    const first = announced
      ? openStream(stack.tiers.edge, path(id), { token: USER }).then(async (stream) => {
          await stream.received(900_000);
          go("break");
          await assert.rejects(stream.end());
        })
      : ask(stack.tiers.edge, path(id), { token: USER }).then(({ status }) => assert.equal(status, 502));
    await until(() => remote.asked(DOWNLOAD + id) === 1);
    setTimeout(() => go("break"), announced ? 5_000 : 200);
    await first;
    const heard = await ask(stack.tiers.edge, path(id), { token: USER });
    assert.equal(heard.status, 502);
    assert.equal(await stack.edge.bucket.get(`d/${remote.name}/${id}`), null);
  });
}

test("without a token nothing is fetched through the edge either", async () => {
  remote.listener.asked.length = 0;
  remote.media.set("planted", { bytes: Buffer.from("planted") });
  const legacy = `/_matrix/media/v3/download/${remote.name}/planted`;
  for (const base of Object.values(stack.tiers)) assert.equal((await ask(base, legacy)).status, 404);
  assert.deepEqual(remote.listener.asked, []);
});
