import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { FetchError } from "../../../origin/net/fetch_error.ts";
import { WireMeter } from "../../../origin/net/wire_meter.ts";
import { flood, startRawServer } from "../../support/raw_server.ts";

/** Two connections, as if the second were carried by the first: what arrives on the first never becomes readable on the second. */
async function metered(serve: (socket: Socket) => void) {
  const server = await startRawServer(serve);
  const [wire, socket] = [connect(server.port, "127.0.0.1"), connect(server.port, "127.0.0.1")];
  await Promise.all([once(wire, "connect"), once(socket, "connect")]);
  wire.resume().on("error", () => {});
  const meter = new WireMeter(wire, socket);
  return { server, wire, socket, meter };
}

test("bytes that no reader gets to see are counted too", { timeout: 60_000 }, async () => {
  const { server, wire, socket, meter } = await metered((asked) => void flood(asked, Buffer.alloc(1000)));
  meter.allow(100_000);
  wire.write("go");
  const [error] = await once(socket, "error");
  assert.ok(error instanceof FetchError);
  assert.equal(error.failure, "too_large");
  wire.destroy();
  await server.close();
});

test("exactly what is allowed may come, and what is allowed anew counts from then on", {
  timeout: 60_000,
}, async () => {
  const { server, wire, socket, meter } = await metered((asked) => asked.write(Buffer.alloc(500_000)));
  for (let round = 1; round <= 3; round += 1) {
    meter.allow(500_000);
    wire.write("go");
    while (wire.bytesRead < round * 500_000) await once(wire, "data");
  }
  meter.allow(499_999);
  wire.write("go");
  const [error] = await once(socket, "error");
  assert.equal(error.failure, "too_large");
  assert.equal(wire.bytesRead, 2_000_000);
  wire.destroy();
  await server.close();
});
