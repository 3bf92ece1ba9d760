import assert from "node:assert/strict";
import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { flood } from "../../test/support/raw_server.ts";
import { until } from "../../test/support/until.ts";
import { LingeringClose, type LingeringLimits } from "./lingering_close.ts";

const PLENTY: LingeringLimits = {
  maxBytes: 1e9,
  bytesPerSecond: 1e9,
  maxSeconds: 60,
  silentSeconds: 60,
  maxConnections: 100,
};
const HEAD = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 100000000000\r\n\r\n";
const MIB = Buffer.alloc(1024 * 1024);

const refuse: RequestListener = (_request, response) =>
  response.writeHead(401, { connection: "close", "content-length": 2 }).end("no");

async function serve(t: TestContext, limits: Partial<LingeringLimits>, answer = refuse) {
  const server: Server = createServer({ keepAliveTimeout: 60_000 }, answer);
  const lingering = new LingeringClose({ ...PLENTY, ...limits });
  lingering.watch(server);
  const accepted: Socket[] = [];
  server.on("connection", (socket: Socket) => accepted.push(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const call = (): Socket => {
    const { port } = server.address() as AddressInfo;
    // It goes on sending after it has heard the end.
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    socket.on("error", () => undefined);
    t.after(() => socket.destroy());
    return socket;
  };
  const open = () => accepted.filter((socket) => !socket.destroyed).length;
  return { lingering, accepted, call, open };
}

/** Collects what a connection says. */
function listen(socket: Socket): () => string {
  let said = "";
  socket.setEncoding("latin1").on("data", (text) => {
    said += text;
  });
  return () => said;
}

test("who reads only after the last byte has the answer, and then the end", async (t) => {
  const { call } = await serve(t, {});
  const socket = call();
  socket.write(HEAD.replace("100000000000", String(20 * MIB.byteLength)));
  socket.pause();
  for (let sent = 0; sent < 20; sent += 1) await new Promise((resolve) => socket.write(MIB, resolve));
  const said = listen(socket);
  socket.resume();
  await until(() => said().endsWith("no"), "the answer");
  await until(() => socket.readableEnded, "the end");
});

test("a body that does not end is read no further than the limit, and its connection closed after the time", async (t) => {
  const { call, accepted, open } = await serve(t, { maxBytes: 10 * MIB.byteLength, maxSeconds: 2 });
  const socket = call();
  const said = listen(socket);
  socket.write(HEAD);
  const flooded = flood(socket, MIB);
  await until(() => open() === 0 && accepted.length === 1, "it is still open");
  assert.match(said(), /^HTTP\/1\.1 401/);
  // Beside what the limit lets in, only what the stream and the parser hold.
  const read = accepted[0]?.bytesRead ?? 0;
  assert.ok(read >= 10 * MIB.byteLength && read < 12 * MIB.byteLength, `${read} bytes were read`);
  await flooded;
});

test("a client that has fallen silent is not waited for", async (t) => {
  const { call, accepted, open } = await serve(t, { silentSeconds: 1 });
  call().write(HEAD);
  await until(() => accepted.length === 1 && open() === 0, "it is still open", { withinMs: 10_000 });
});

test("of more connections than may linger at once, the oldest are closed", async (t) => {
  const { call, accepted, open } = await serve(t, { maxConnections: 3 });
  for (let count = 0; count < 12; count += 1) call().write(HEAD);
  await until(() => accepted.length === 12 && open() === 3, "more than three linger");
});

test("all connections together are read no faster than the limit", async (t) => {
  const { call, accepted } = await serve(t, { bytesPerSecond: 4 * MIB.byteLength });
  for (let count = 0; count < 4; count += 1) {
    const socket = call();
    socket.write(HEAD);
    void flood(socket, MIB);
  }
  const total = () => accepted.reduce((sum, socket) => sum + socket.bytesRead, 0);
  await until(() => total() >= 4 * MIB.byteLength, "nothing is read");
  const before = performance.now();
  await wait(500);
  const seconds = Math.ceil((performance.now() - before) / 1000) + 1;
  const bound = (seconds + 1) * 4 * MIB.byteLength + 4 * MIB.byteLength;
  assert.ok(total() < bound, `${total()} bytes in ${seconds} s`);
});

test("when the server closes, none of them keeps it for long", async (t) => {
  const { call, accepted, open, lingering } = await serve(t, {});
  call().write(HEAD);
  await until(() => accepted.length === 1, "it has not come");
  lingering.close();
  await until(() => open() === 0, "it is still open", { withinMs: 10_000 });
});

test("a small body is read to its end, and the connection kept", async (t) => {
  const { call, open } = await serve(t, {}, (_request, response) =>
    response.writeHead(401, { "content-length": 2 }).end("no"),
  );
  const socket = call();
  const said = listen(socket);
  socket.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345");
  await until(() => said().endsWith("no"), "the first answer");
  socket.write("67890GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  await until(() => said().split("401").length === 3, "the second answer");
  assert.equal(open(), 1);
});
