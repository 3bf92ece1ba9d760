import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { before, describe, type TestContext, test } from "node:test";
import { startOrigin } from "../../support/app.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { sendRefused } from "../../support/refused_upload.ts";
import { until } from "../../support/until.ts";

/** What becomes of a connection on which an answer was given before the body of the request was read. */
describe("an answer that comes before the body was read", () => {
  const lifetime = lifetimeOfSuite();
  let base = "";
  before(async () => {
    const homeserver = await startHomeserver({ token_of_user: { user_id: "@user:example.org" } });
    lifetime.after(() => homeserver.close());
    base = (await startOrigin(lifetime, { homeservers: { "example.org": homeserver.url } })).url;
  });
  const USER = "authorization: Bearer token_of_user\r\n";
  const UPLOAD = "/_matrix/media/v3/upload";

  function call(t: TestContext): { socket: Socket; said: () => string } {
    const { hostname, port } = new URL(base);
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    let said = "";
    socket.on("error", () => undefined).setEncoding("latin1");
    socket.on("data", (text) => {
      said += text;
    });
    t.after(() => socket.destroy());
    return { socket, said: () => said };
  }

  const REFUSED: readonly (readonly [number, string, string])[] = [
    [401, "POST", UPLOAD],
    [401, "POST", "/_matrix/media/v1/create"],
    [404, "POST", "/_matrix/media/v3/nothing"],
    [404, "PUT", "/"],
    [405, "PUT", UPLOAD],
    [405, "POST", "/_matrix/media/v3/config"],
    [404, "POST", "/_matrix/media/v3/%zz"],
    [200, "GET", "/_matrix/client/versions"],
    [204, "OPTIONS", UPLOAD],
    [405, "PROPFIND", UPLOAD],
  ];
  for (const connection of ["close", "keep-alive"]) {
    for (const [status, method, path] of REFUSED) {
      test(`${status} to ${method} ${path}: who reads after the last of 20 MB has it, with ${connection}`, async () => {
        const sending = { method, path, headers: { connection }, length: 20_000_000, paceMs: 0, readsLast: true };
        assert.equal((await sendRefused(base, sending))?.status, status);
      });
    }
  }

  test("a body that waits to be asked for is not asked for when it is refused", async (t) => {
    const { socket, said } = call(t);
    socket.write(`POST ${UPLOAD} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1000000\r\n\r\n`);
    await until(() => /M_MISSING_TOKEN/.test(said()), "the refusal");
    assert.match(said(), /^HTTP\/1\.1 401 [\s\S]*\r\nconnection: close\r\n/i);
  });

  test("a body that waits to be asked for is asked for when it is wanted", async (t) => {
    const { socket, said } = call(t);
    socket.write(`POST ${UPLOAD} HTTP/1.1\r\nhost: x\r\n${USER}expect: 100-continue\r\ncontent-length: 200\r\n\r\n`);
    await until(() => said() === "HTTP/1.1 100 Continue\r\n\r\n", "the question");
    socket.write("0123456789".repeat(20));
    await until(() => /HTTP\/1\.1 200 [\s\S]*content_uri/.test(said()), "the answer");
  });

  test("an expectation that nobody knows means nothing", async () => {
    const heard = await ask(base, "/_matrix/client/versions", { headers: { expect: "something-else" } });
    assert.equal(heard.status, 200);
  });

  test("a small body that is refused costs no connection", async (t) => {
    const { socket, said } = call(t);
    socket.write(`POST /_matrix/media/v3/nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n01234`);
    await until(() => /M_UNRECOGNIZED/.test(said()), "the refusal");
    socket.write("56789GET /_matrix/client/versions HTTP/1.1\r\nhost: x\r\n\r\n");
    await until(() => /HTTP\/1\.1 200 /.test(said()), "the next answer");
  });

  test("what follows after we have said that the connection ends is not acted upon", async (t) => {
    const { socket, said } = call(t);
    socket.write(`POST /_matrix/media/v3/nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n`);
    await until(() => /connection: close[\s\S]*M_UNRECOGNIZED/i.test(said()), "the refusal");
    const gone = until(() => socket.closed, "the end");
    socket.end(`${"x".repeat(100_000)}POST ${UPLOAD} HTTP/1.1\r\nhost: x\r\n${USER}content-length: 4\r\n\r\nkept`);
    await gone;
    assert.doesNotMatch(said(), /content_uri/);
    const usage = await ask(base, "/_matrix/media/v3/usage", { token: "token_of_user" });
    assert.equal(usage.status, 200);
  });
});
