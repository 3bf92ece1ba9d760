import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { ask } from "../../support/http.ts";
import { download, newUser, stackForFile } from "./stage.ts";

/**
 * Bodies that cannot be read to their end, as they go on the wire. They are never taken for ones that have ended: either all of
 * a body is stored, or nothing.
 */

const stack = stackForFile();
const SIZE = 300;
const chunk = (fill: string, extension = "") => `${SIZE.toString(16)}${extension}\r\n${fill.repeat(SIZE)}\r\n`;
const LAST = "0\r\n\r\n";
const WHOLE = "a".repeat(SIZE) + "b".repeat(SIZE) + "c".repeat(SIZE);

interface Sent {
  /** In pieces, which are sent one after the other. */
  readonly body: readonly string[];
  readonly length?: number;
  readonly coding?: string;
  /** The sender ends its side of the connection after the body, and still listens. */
  readonly ends?: boolean;
}

const CHUNKED = { coding: "chunked" } as const;
const first = chunk("a");
const three = [chunk("a"), chunk("b"), chunk("c")];

/** What is legal may be refused by a tier, but never cut. */
const LEGAL: Readonly<Record<string, Sent>> = {
  "without anything special": { ...CHUNKED, body: [...three, LAST] },
  "with trailer fields": { ...CHUNKED, body: [...three, "0\r\nx-name: value\r\n\r\n"] },
  "with an extension of the first chunk": { ...CHUNKED, body: [chunk("a", ";a=1"), ...three.slice(1), LAST] },
  "with an extension of the second chunk": { ...CHUNKED, body: [first, chunk("b", ";a=1"), chunk("c"), LAST] },
  "with a quoted extension": { ...CHUNKED, body: [first, chunk("b", ';a="b;c"'), chunk("c"), LAST] },
  "with an extension of the last chunk": { ...CHUNKED, body: [...three, "0;a=1\r\n\r\n"] },
};

const BROKEN: Readonly<Record<string, Sent>> = {
  "with a chunk size that is no number": { ...CHUNKED, body: [first, `zz\r\n${"b".repeat(SIZE)}\r\n`, LAST] },
  "without a chunk size": { ...CHUNKED, body: [first, `\r\n${"b".repeat(SIZE)}\r\n`, LAST] },
  "with a negative chunk size": { ...CHUNKED, body: [first, `-12c\r\n${"b".repeat(SIZE)}\r\n`, LAST] },
  "with a chunk longer than its size": { ...CHUNKED, body: [first, `12c\r\n${"b".repeat(SIZE)}yy\r\n`, LAST] },
  "with a chunk size past 64 bits": {
    ...CHUNKED,
    body: [first, `1${"0".repeat(13)}12c\r\n${"b".repeat(SIZE)}\r\n`, LAST],
  },
  "without the last chunk": { ...CHUNKED, body: three, ends: true },
  "that ends in a chunk": { ...CHUNKED, body: [first, `12c\r\n${"b".repeat(100)}`], ends: true },
  "that ends in a chunk size": { ...CHUNKED, body: [first, "12"], ends: true },
  "that ends before its length": { length: 900, body: ["a".repeat(600)], ends: true },
  "with a length and in chunks": { ...CHUNKED, length: 900, body: [...three, LAST] },
  "with a shorter length and in chunks": { ...CHUNKED, length: 300, body: [...three, LAST] },
  "in a transfer coding that nobody asked for": { coding: "gzip, chunked", body: [...three, LAST] },
};

/** Sends a body as it is, and hears what is answered: a status, or nothing, and the answer's text. */
function send(
  base: string,
  token: string,
  { body, length, coding, ends }: Sent,
): Promise<{ status: number; text: string }> {
  const { hostname, port } = new URL(base);
  const head = [
    "POST /_matrix/media/v3/upload HTTP/1.1",
    `Host: example.org`,
    `Authorization: Bearer ${token}`,
    ...(length === undefined ? [] : [`Content-Length: ${length}`]),
    ...(coding === undefined ? [] : [`Transfer-Encoding: ${coding}`]),
  ];
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    let text = "";
    const done = () => {
      socket.destroy();
      resolve({ status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0), text });
    };
    socket.setEncoding("latin1").on("data", (said) => {
      text += said;
      if (/\r\n\r\n.*\}$/s.test(text)) done();
    });
    socket
      .on("error", () => undefined)
      .on("end", done)
      .on("close", done);
    const pieces = [`${head.join("\r\n")}\r\n\r\n`, ...body];
    const next = () => {
      const piece = pieces.shift();
      if (piece === undefined) return void (ends && socket.end());
      // Each piece arrives by itself, so that those before it are on their way to the origin already.
      socket.write(piece, () => setTimeout(next, 20));
    };
    next();
  });
}

async function storedMedia(): Promise<number> {
  const { rows } = await stack().origin.app.db.query<{ count: string }>("SELECT count(*) AS count FROM media");
  return Number(rows[0]?.count);
}

for (const tier of ["origin", "edge"] as const) {
  describe(`through the ${tier}`, () => {
    for (const [name, sent] of Object.entries(LEGAL)) {
      test(`a body ${name} is stored whole, or refused`, async () => {
        const { origin, homeserver, tiers } = stack();
        const token = newUser(homeserver);
        const before = await storedMedia();
        const { status, text } = await send(tiers[tier], token, sent);
        if (status !== 200) {
          // Only the parser of the edge's runtime does not know extensions.
          assert.ok(tier === "edge" && name.includes("extension"), text);
          assert.equal(status, 400, text);
          assert.match(text, /"errcode":"M_UNKNOWN"/);
          return assert.equal(await storedMedia(), before);
        }
        const id = /mxc:\/\/([^"]+)/.exec(text)?.[1] ?? "";
        assert.equal((await ask(origin.url, download(id), { token })).body.toString(), WHOLE);
      });
    }

    for (const [name, sent] of Object.entries(BROKEN)) {
      test(`of a body ${name} nothing is stored, and nobody is told that it was`, async () => {
        const { homeserver, tiers } = stack();
        const before = await storedMedia();
        const { status, text } = await send(tiers[tier], newUser(homeserver), sent);
        assert.ok(status >= 400 || status === 0, text);
        assert.doesNotMatch(text, /content_uri/);
        assert.equal(await storedMedia(), before);
      });
    }
  });
}
