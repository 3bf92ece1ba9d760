import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { FetchError } from "../../../origin/net/fetch_error.ts";
import { type FetchOptions, makeSafeFetch } from "../../../origin/net/safe_fetch.ts";
import { type Authority, type Certificate, makeAuthority } from "../../support/certificates.ts";
import { flood, startRawServer } from "../../support/raw_server.ts";

const options: FetchOptions = { reach: "public", timeoutMs: 60_000, maxBytes: 10_000 };
const failedBy = (failure: string) => (error: unknown) => error instanceof FetchError && error.failure === failure;
/** What may be on its way beside what is counted: buffers of both ends. */
const ON_THE_WAY = 16_000_000;
const HEAD = "HTTP/1.1 200 OK\r\n";
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`;

let authority: Authority;
let certificate: Certificate;
let fetch: ReturnType<typeof makeSafeFetch>;

before(() => {
  authority = makeAuthority();
  certificate = authority.issue("DNS:a.example");
  fetch = makeSafeFetch({
    allows: () => true,
    addresses: async () => ["127.0.0.1"],
    userAgent: "test",
    connectionsPerHost: 1,
    ca: authority.ca,
  });
});
after(async () => {
  await fetch.close();
  authority.close();
});

for (const scheme of ["http", "https"] as const) {
  const start = (onData: (socket: Socket, data: Buffer) => void) =>
    startRawServer(onData, scheme === "https" ? certificate : undefined);

  describe(`over ${scheme}, bytes that are neither header nor body`, () => {
    const FLOODS: readonly [string, string, string][] = [
      ["a reason phrase", "HTTP/1.1 200 ", "x".repeat(65_536)],
      ["interim answers", "", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(1000)],
      ["blank lines", "", "\r\n".repeat(32_768)],
      ["an extension of a chunk", `${CHUNKED}5;`, "x".repeat(65_536)],
      ["chunks of one byte with an extension", CHUNKED, `1;${"x".repeat(1000)}\r\ny\r\n`.repeat(60)],
      ["trailers", `${CHUNKED}0\r\n`, "a: b\r\n".repeat(1000)],
    ];
    for (const [name, head, chunk] of FLOODS) {
      test(`are cut off: ${name}`, async () => {
        let sent: Promise<number> | undefined;
        const server = await start((socket) => {
          socket.write(head);
          sent ??= flood(socket, chunk);
        });
        const answer = fetch(`${scheme}://a.example:${server.port}/`, options).then((response) => response.text());
        await assert.rejects(answer, FetchError);
        const bytes = await sent;
        assert.ok(bytes !== undefined && bytes < ON_THE_WAY, `${bytes} bytes were taken`);
        await server.close();
      });
    }

    test("end with the time, though they come too slowly to be too many", async () => {
      for (const [head, drop] of [
        ["HTTP/1.1 200 ", "x"],
        ["", "HTTP/1.1 103 Early Hints\r\n\r\n"],
        [`${CHUNKED}1;`, "x"],
      ] as const) {
        const server = await start((socket) => {
          socket.write(head);
          const drip = setInterval(() => socket.write(drop), 10);
          socket.once("close", () => clearInterval(drip));
        });
        const answer = fetch(`${scheme}://a.example:${server.port}/`, { ...options, timeoutMs: 300 });
        await assert.rejects(
          answer.then((response) => response.text()),
          failedBy("timeout"),
        );
        await server.close();
      }
    });

    test("are counted for each answer on its own where a connection is kept", async () => {
      const noise = "x".repeat(50_000);
      let sent: Promise<number> | undefined;
      const server = await start((socket, data) => {
        if (!data.includes("/flood")) return socket.write(`${CHUNKED}5;${noise}\r\nhello\r\n0\r\n\r\n`);
        sent ??= flood(socket, `HTTP/1.1 200 ${noise}`);
      });
      const url = `${scheme}://a.example:${server.port}/`;
      for (let round = 0; round < 20; round += 1) assert.equal(await (await fetch(url, options)).text(), "hello");
      await assert.rejects(fetch(`${url}flood`, options), FetchError);
      assert.ok(((await sent) ?? 0) < ON_THE_WAY);
      assert.equal(server.sockets.length, 1);
      await server.close();
    });

    test("leave room for a whole body in small chunks", async () => {
      const maxBytes = 3_000_000;
      const server = await start((socket) => {
        socket.write(CHUNKED);
        for (let left = maxBytes; left > 0; left -= 200) socket.write(`c8\r\n${"y".repeat(200)}\r\n`);
        socket.write("0\r\n\r\n");
      });
      const response = await fetch(`${scheme}://a.example:${server.port}/`, { ...options, maxBytes });
      assert.equal((await response.text()).length, maxBytes);
      await server.close();
    });
  });
}
