import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { after, before, beforeEach, test } from "node:test";
import { type FetchMediaOptions, PeerMedia, type RemoteMedia } from "../../../origin/matrix/media/peer_media.ts";
import { importSeed } from "../../../origin/matrix/signing.ts";
import type { SigningIdentity } from "../../../origin/matrix/signing_keys.ts";
import { makeAddressGuard } from "../../../origin/net/address_guard.ts";
import { toMatrixError } from "../../../shared/http/failure_answer.ts";
import { frameMedia } from "../../../shared/http/federation_answer.ts";
import { FORBIDDEN_ADDRESSES, MMR_DISALLOWED } from "../../support/addresses.ts";
import { type FederationPeer, startPeer } from "../../support/federation_peer.ts";
import { listen } from "../../support/listener.ts";
import { frameLocation } from "../../support/multipart.ts";
import { until } from "../../support/until.ts";

const { privateKey } = await importSeed(new Uint8Array(32).fill(3));
const as: SigningIdentity = { serverName: "us.example", keyId: "ed25519:k", privateKey };
const options: FetchMediaOptions = { as, maxBytes: 1000, timeoutMs: 5000, idleTimeoutMs: 2000, waitMs: 1234 };
const SIGNED = "/_matrix/federation/v1/media/download/abc?timeout_ms=1234";
const LEGACY = "allow_remote=false&allow_redirect=true&timeout_ms=1234";

let peer: FederationPeer;
let media: PeerMedia;
const fetchMedia: PeerMedia["fetch"] = (mxc, options) => media.fetch(mxc, options);
before(async () => {
  peer = await startPeer({ backoffAt: 1_000_000 });
  const { federation, safeFetch } = peer;
  media = new PeerMedia({
    federation,
    safeFetch,
    ignoredHosts: ["Ignored.example"],
    clock: () => peer.nowMs,
  });
});
after(() => peer.close());
beforeEach(() => {
  peer.listener.asked.length = 0;
});

const fetch = (more: Partial<FetchMediaOptions> = {}) =>
  fetchMedia({ serverName: peer.name, mediaId: "abc" }, { ...options, ...more });

const legacy = () => `/_matrix/media/v3/download/${peer.name}/abc?${LEGACY}`;
const asked = () => peer.listener.asked.map((line) => line.split(" ").slice(2).join(" "));

async function bytesOf(media: RemoteMedia): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of media.body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** What the client is told. */
async function errorOf(work: Promise<unknown>): Promise<[number, string]> {
  const error = await work.then(
    () => assert.fail("it succeeded"),
    (thrown) => thrown,
  );
  assert.ok(!/127\.0\.0\.1|peer\.example/.test(error.message), "the client is told no hosts");
  const { status, errcode } = toMatrixError(error);
  return [status, errcode];
}

/** The error of fetching or, if that goes well, of reading to the end. */
const failureOf = (more: Partial<FetchMediaOptions> = {}) => errorOf(fetch(more).then(bytesOf));

interface Part {
  type?: string;
  disposition?: string;
}
function sendEnvelope(response: ServerResponse, media: Buffer | string, part: Part = {}): void {
  const { type = "image/png", disposition = 'inline; filename="a.png"' } = part;
  const frame = frameMedia("bound", { contentType: type, contentDisposition: disposition });
  response.writeHead(200, { "content-type": frame.contentType });
  response.end(Buffer.concat([frame.head, Buffer.from(media), frame.tail]));
}

/** Sends this as the whole multipart body, line ends and all. */
function answerRaw(body: string, headers: Record<string, string> = {}): void {
  peer.answer = (_, response) =>
    response.writeHead(200, { "content-type": "multipart/mixed; boundary=bound", ...headers }).end(body);
}

const refuse = (status: number, body: unknown, headers: Record<string, string> = {}) => {
  peer.answer = (_, response) =>
    response.writeHead(status, headers).end(typeof body === "string" ? body : JSON.stringify(body));
};

test("media comes out of its envelope with type and name, asked for by a signed request", async () => {
  const names = ["ascii", "name with spaces", "name;with;semicolons", "🐔"];
  for (const name of names) {
    const disposition = `attachment; filename="${name === "🐔" ? "_" : name}"; filename*=UTF-8''${encodeURIComponent(name)}`;
    peer.answer = (request, response) => {
      assert.match(
        request.headers.authorization ?? "",
        /^X-Matrix origin="us.example",destination="peer.example:\d+",/,
      );
      sendEnvelope(response, "hello\r\n--boundless", { type: "img/png", disposition });
    };
    const media = await fetch();
    assert.deepEqual([media.contentType, media.fileName], ["img/png", name]);
    assert.equal((await bytesOf(media)).toString(), "hello\r\n--boundless");
  }
  assert.deepEqual(new Set(asked()), new Set([SIGNED]));
});

test("bare UTF-8 names, missing types and missing dispositions are coped with", async () => {
  peer.answer = (_, response) => sendEnvelope(response, "x", { disposition: 'inline; filename="🐔.png"' });
  const named = await fetch();
  assert.equal(named.fileName, "🐔.png");
  await bytesOf(named);
  answerRaw("--bound\r\n\r\n{}\r\n--bound\r\n\r\nx\r\n--bound--");
  const bare = await fetch();
  assert.deepEqual([bare.contentType, bare.fileName], ["application/octet-stream", undefined]);
  assert.equal((await bytesOf(bare)).toString(), "x");
});

test("exactly maxBytes of media pass whatever the envelope weighs, and one more does not", async () => {
  for (const size of [1000, 1001]) {
    peer.answer = (_, response) => sendEnvelope(response, Buffer.alloc(size, 7));
    if (size === 1000) assert.equal((await bytesOf(await fetch())).length, 1000);
    else assert.deepEqual(await failureOf(), [502, "M_TOO_LARGE"]);
  }
  answerRaw("--bound\r\n\r\n{}\r\n--bound\r\nContent-Length: 1001\r\n\r\nx\r\n--bound--");
  assert.deepEqual(await errorOf(fetch()), [502, "M_TOO_LARGE"]);
  refuse(200, "x", { "content-type": "multipart/mixed; boundary=bound", "content-length": "1000000000" });
  assert.deepEqual(await errorOf(fetch()), [502, "M_TOO_LARGE"]);
});

test("a body longer or shorter than announced, or cut anywhere, is never whole", async () => {
  for (const length of [4, 6]) {
    answerRaw(`--bound\r\n\r\n{}\r\n--bound\r\nContent-Length: ${length}\r\n\r\nhello\r\n--bound--`);
    assert.deepEqual(await failureOf(), [502, "M_UNKNOWN"]);
  }
  const whole = "--bound\r\n\r\n{}\r\n--bound\r\nA: b\r\n\r\nhello\r\n--bound--\r\n";
  for (const end of [0, 5, 12, 20, 30, 33, 37, 38, 41, 45]) {
    answerRaw(whole.slice(0, end));
    assert.deepEqual(await failureOf(), [502, "M_UNKNOWN"], `ended after ${end}`);
    peer.answer = (_, response) => {
      response.writeHead(200, { "content-type": "multipart/mixed; boundary=bound" });
      response.write(whole.slice(0, end), () => response.destroy());
    };
    assert.deepEqual(await failureOf(), [502, "M_UNKNOWN"], `broke off after ${end}`);
  }
});

test("what is no envelope of the specification is refused", async () => {
  const PART = "--bound\r\nContent-Type: image/png\r\n\r\nx\r\n--bound--";
  const bodies: [string, string][] = [
    ["empty", ""],
    ["wrong boundary", `--other\r\n\r\n{}\r\n--other\r\n\r\nx\r\n--other--`],
    ["one part", "--bound\r\nContent-Type: application/json\r\n\r\n{}\r\n--bound--"],
    ["metadata not JSON", `--bound\r\n\r\nhello\r\n${PART}`],
    ["metadata an array", `--bound\r\n\r\n[]\r\n${PART}`],
    ["metadata null", `--bound\r\n\r\nnull\r\n${PART}`],
    ["metadata of another type", `--bound\r\nContent-Type: text/plain\r\n\r\n{}\r\n${PART}`],
    ["media first", `${PART.slice(0, -2)}\r\n\r\n{}\r\n--bound--`],
    ["endless metadata", `--bound\r\n\r\n{"a":"${"x".repeat(100_000)}"}\r\n${PART}`],
    ["endless headers", `--bound\r\n\r\n{}\r\n--bound\r\nX: ${"x".repeat(100_000)}\r\n\r\nx\r\n--bound--`],
    ["endless preamble", `${"x".repeat(100_000)}\r\n--bound\r\n\r\n{}\r\n${PART}`],
  ];
  for (const [name, body] of bodies) {
    answerRaw(body);
    assert.deepEqual(await failureOf(), [502, "M_UNKNOWN"], name);
  }
  for (const type of ["image/png", "multipart/form-data; boundary=bound", "multipart/mixed", ""]) {
    answerRaw(`--bound\r\n\r\n{}\r\n${PART}`, { "content-type": type });
    assert.deepEqual(await failureOf(), [502, "M_UNKNOWN"], type);
  }
  assert.ok(!asked().some((path) => path.includes("/v3/")));
});

test("a gigabyte of metadata is stopped at once", async () => {
  let written = 0;
  peer.answer = (_, response) => {
    response.writeHead(200, { "content-type": "multipart/mixed; boundary=bound" });
    response.write('--bound\r\n\r\n{"a":"');
    const piece = Buffer.alloc(65_536, 120);
    const more = () => {
      while (!response.destroyed && written < 1_000_000_000) {
        written += piece.length;
        if (!response.write(piece)) return;
      }
    };
    response.on("drain", more);
    more();
  };
  assert.deepEqual(await failureOf({ maxBytes: 2_000_000_000 }), [502, "M_UNKNOWN"]);
  assert.ok(written < 20_000_000, `${written} bytes were taken`);
});

test("an answer that ends short of its announced length, or never, is not whole though its media is", async () => {
  const whole = "--bound\r\n\r\n{}\r\n--bound\r\n\r\nhello\r\n--bound--\r\n";
  const type = { "content-type": "multipart/mixed; boundary=bound" };
  peer.answer = (_, response) => {
    response.writeHead(200, { ...type, "content-length": whole.length + 50 });
    response.write(whole, () => response.destroy());
  };
  assert.deepEqual(await failureOf(), [502, "M_UNKNOWN"]);
  peer.answer = (_, response) => response.writeHead(200, type).write(whole);
  assert.deepEqual(await failureOf({ idleTimeoutMs: 100 }), [504, "M_UNKNOWN"]);
  answerRaw(`${whole}an epilogue`);
  assert.equal((await bytesOf(await fetch())).toString(), "hello");
});

test("a Location is fetched without credentials, and its own type and name count", async () => {
  const seen: (string | undefined)[] = [];
  peer.answer = (request, response) => {
    seen.push(request.headers.authorization);
    if (request.url?.startsWith("/cdn")) {
      if (request.url === "/cdn1") return response.writeHead(302, { location: "/cdn2" }).end();
      return response
        .writeHead(200, { "content-type": "text/plain", "content-disposition": "inline; filename=b.txt" })
        .end("from cdn");
    }
    const frame = frameLocation("bound", `https://cdn.peer.example:${peer.listener.port}/cdn1`);
    return response.writeHead(200, { "content-type": frame.contentType }).end(Buffer.concat([frame.head, frame.tail]));
  };
  const media = await fetch();
  assert.deepEqual([media.contentType, media.fileName, media.size], ["text/plain", "b.txt", undefined]);
  assert.equal((await bytesOf(media)).toString(), "from cdn");
  assert.equal(seen.length, 3);
  assert.deepEqual(seen.slice(1), [undefined, undefined]);
});

test("a Location that fails, is too long, or is no https URL is no media", async () => {
  const locate = (location: string, then: (response: ServerResponse) => unknown) => {
    peer.answer = (request, response) => {
      if (request.url === "/cdn") return void then(response);
      return answerLocation(response, location);
    };
  };
  const cdn = `https://cdn.peer.example:${peer.listener.port}/cdn`;
  locate(cdn, (response) => response.writeHead(404).end('{"errcode":"M_UNRECOGNIZED"}'));
  assert.deepEqual(await failureOf(), [502, "M_UNKNOWN"]);
  locate(cdn, (response) => response.end(Buffer.alloc(1001)));
  assert.deepEqual(await failureOf(), [502, "M_TOO_LARGE"]);
  locate(cdn, (response) => response.writeHead(302, { location: "/cdn" }).end());
  assert.deepEqual(await failureOf(), [502, "M_UNKNOWN"]);
  for (const bad of [
    `http://cdn.peer.example/`,
    "file:///etc/passwd",
    "/relative",
    "nonsense",
    "https://u:p@cdn.peer.example/",
  ]) {
    locate(bad, () => assert.fail("fetched"));
    assert.deepEqual(await failureOf(), [502, "M_UNKNOWN"], bad);
  }
});

function answerLocation(response: ServerResponse, location: string): void {
  const frame = frameLocation("bound", location);
  response.writeHead(200, { "content-type": frame.contentType }).end(Buffer.concat([frame.head, frame.tail]));
}

test("no Location and no redirect leads to a forbidden address", async () => {
  const secret = await listen((_, response) => response.end("secret"), { address: "0.0.0.0" });
  const guard = makeAddressGuard({ allowedNetworks: ["0.0.0.0/0", "::/0"], disallowedNetworks: MMR_DISALLOWED });
  let forbidden = "";
  const guarded = await startPeer({
    backoffAt: 1_000_000,
    // The peer stands on 127.0.0.1 and is reached by its name; nothing else there may be.
    allows: (address) => guard(address) || address === "127.0.0.1",
    addresses: (hostname) => (hostname.endsWith("peer.example") ? ["127.0.0.1"] : [forbidden]),
  });
  const { federation, safeFetch } = guarded;
  const guardedMedia = new PeerMedia({ federation, safeFetch, ignoredHosts: [], clock: () => guarded.nowMs });
  const isPeer = (address: string) => /(^|:)127\.0\.0\.1$|^::ffff:7f00:1$|ffff:7f00:0001$/.test(address);
  for (forbidden of FORBIDDEN_ADDRESSES.filter((address) => !isPeer(address))) {
    const literal = forbidden.includes(":") ? `[${forbidden}]` : forbidden;
    for (const host of [literal, "innocent.example"]) {
      const url = `https://${host}:${secret.port}/`;
      guarded.answer = (_, response) => answerLocation(response, url);
      const mxc = { serverName: guarded.name, mediaId: "abc" };
      assert.deepEqual(await errorOf(guardedMedia.fetch(mxc, options)), [502, "M_UNKNOWN"]);
      guarded.answer = (_, response) => response.writeHead(307, { location: url }).end();
      assert.deepEqual(await errorOf(guardedMedia.fetch(mxc, options)), [502, "M_UNKNOWN"]);
    }
  }
  assert.equal(secret.connections, 0);
  await guarded.close();
  await secret.close();
});

test("the older endpoint is asked only after 404 M_UNRECOGNIZED, unsigned and with allow_remote=false", async () => {
  peer.answer = (request, response) => {
    if (request.url?.startsWith("/_matrix/federation/")) {
      return response.writeHead(404).end('{"errcode":"M_UNRECOGNIZED","error":"?"}');
    }
    assert.equal(request.headers.authorization, undefined);
    response.writeHead(200, { "content-type": "video/mp4", "content-disposition": 'inline; filename="v.mp4"' });
    return response.end("video");
  };
  const media = await fetch();
  assert.deepEqual([media.contentType, media.fileName], ["video/mp4", "v.mp4"]);
  assert.equal((await bytesOf(media)).toString(), "video");
  assert.deepEqual(asked(), [SIGNED, legacy()]);
});

test("no other refusal leads to the older endpoint, and each means something to the client", async () => {
  const refusals: [number, unknown, [number, string]][] = [
    [404, { errcode: "M_NOT_FOUND", error: "no" }, [404, "M_NOT_FOUND"]],
    [404, "<html>", [502, "M_UNKNOWN"]],
    [404, { errcode: 7 }, [502, "M_UNKNOWN"]],
    [401, { errcode: "M_UNAUTHORIZED" }, [502, "M_UNKNOWN"]],
    [403, { errcode: "M_UNRECOGNIZED" }, [502, "M_UNKNOWN"]],
    [405, { errcode: "M_UNRECOGNIZED" }, [502, "M_UNKNOWN"]],
    [429, { errcode: "M_LIMIT_EXCEEDED" }, [502, "M_UNKNOWN"]],
    [500, { errcode: "M_UNKNOWN" }, [502, "M_UNKNOWN"]],
    [502, { errcode: "M_TOO_LARGE" }, [502, "M_TOO_LARGE"]],
    [413, { errcode: "M_TOO_LARGE" }, [502, "M_TOO_LARGE"]],
    [504, { errcode: "M_NOT_YET_UPLOADED" }, [504, "M_NOT_YET_UPLOADED"]],
    [504, "<html>", [502, "M_UNKNOWN"]],
    [204, "", [502, "M_UNKNOWN"]],
    [404, "x".repeat(100_000), [502, "M_UNKNOWN"]],
  ];
  for (const [status, body, expected] of refusals) {
    refuse(status, body);
    assert.deepEqual(await errorOf(fetch()), expected, `${status} ${JSON.stringify(body)}`);
  }
  assert.deepEqual(new Set(asked()), new Set([SIGNED]));
});

test("without a key only the older endpoint is asked", async () => {
  refuse(404, { errcode: "M_NOT_FOUND" });
  assert.deepEqual(await errorOf(fetch({ as: undefined })), [404, "M_NOT_FOUND"]);
  refuse(404, { errcode: "M_UNRECOGNIZED" });
  assert.deepEqual(await errorOf(fetch({ as: undefined })), [404, "M_NOT_FOUND"]);
  assert.deepEqual(asked(), [legacy(), legacy()]);
});

test("the older endpoint's media is checked for its length and its limit as well", async () => {
  peer.answer = (_, response) => {
    response.writeHead(200, { "content-length": "10" });
    response.write("short", () => response.destroy());
  };
  assert.deepEqual(await failureOf({ as: undefined }), [502, "M_UNKNOWN"]);
  peer.answer = (_, response) => response.end(Buffer.alloc(1001));
  assert.deepEqual(await failureOf({ as: undefined }), [502, "M_TOO_LARGE"]);
});

test("up to five redirects are followed, and a loop is an error", async () => {
  let left = 5;
  peer.answer = (_, response) => {
    if (left-- > 0) return response.writeHead(307, { location: SIGNED }).end();
    return sendEnvelope(response, "arrived");
  };
  assert.equal((await bytesOf(await fetch())).toString(), "arrived");
  left = 1000;
  assert.deepEqual(await errorOf(fetch()), [502, "M_UNKNOWN"]);
  assert.equal(asked().length, 12);
});

test("silence, a stalled body and a slow drip end in time as 504", async () => {
  const frame = frameMedia("bound", { contentType: "a/b", contentDisposition: "inline" });
  peer.answer = () => {};
  assert.deepEqual(await errorOf(fetch({ timeoutMs: 200 })), [504, "M_UNKNOWN"]);
  peer.answer = (_, response) => {
    response.writeHead(200, { "content-type": frame.contentType }).write(frame.head);
    response.write("x");
  };
  assert.deepEqual(await failureOf({ idleTimeoutMs: 100 }), [504, "M_UNKNOWN"]);
  peer.answer = (_, response) => {
    response.writeHead(200, { "content-type": frame.contentType }).write(frame.head);
    const drip = setInterval(() => response.write("x"), 10);
    response.on("close", () => clearInterval(drip));
  };
  assert.deepEqual(await failureOf({ timeoutMs: 300 }), [504, "M_UNKNOWN"]);
});

test("a server that keeps silent until the time is over is left alone at last", async () => {
  const silent = await startPeer({ backoffAt: 2 });
  silent.answer = () => {};
  const { federation, safeFetch, name, listener } = silent;
  const silentMedia = new PeerMedia({ federation, safeFetch, ignoredHosts: [], clock: () => silent.nowMs });
  const attempt = () =>
    errorOf(silentMedia.fetch({ serverName: name, mediaId: "abc" }, { ...options, timeoutMs: 100 }));
  assert.deepEqual(await attempt(), [504, "M_UNKNOWN"]);
  assert.deepEqual(await attempt(), [504, "M_UNKNOWN"]);
  assert.deepEqual(await attempt(), [502, "M_UNKNOWN"]);
  assert.equal(listener.asked.length, 2);
  await silent.close();
});

test("one who cancels the body ends the transfer, and so does the caller's signal", async () => {
  let closed = 0;
  const frame = frameMedia("bound", { contentType: "a/b", contentDisposition: "inline" });
  peer.answer = (_, response) => {
    response.on("close", () => (closed += 1));
    response.writeHead(200, { "content-type": frame.contentType }).write(frame.head);
    response.write("x");
  };
  await (await fetch()).body.cancel();
  const giveUp = new AbortController();
  const media = await fetch({ signal: giveUp.signal });
  setTimeout(() => giveUp.abort(), 10);
  assert.deepEqual(await errorOf(bytesOf(media)), [504, "M_UNKNOWN"]);
  await until(() => closed >= 2, "both transfers end");
  assert.equal(closed, 2);
});

test("ignored hosts are not asked, but for who may; nor is what is no media id or server name", async () => {
  const ignored = (name: string, more = {}) =>
    fetchMedia({ serverName: name, mediaId: "abc" }, { ...options, ...more });
  assert.deepEqual(await errorOf(ignored("ignored.example")), [404, "M_NOT_FOUND"]);
  assert.deepEqual(await errorOf(ignored("IGNORED.example")), [404, "M_NOT_FOUND"]);
  assert.equal((await errorOf(ignored("ignored.example", { evenIfIgnored: true })))[0], 502);
  for (const mediaId of ["", "..", "a/b", "a%2fb", "a?b", "../../x"]) {
    assert.deepEqual(await errorOf(fetchMedia({ serverName: peer.name, mediaId }, options)), [404, "M_NOT_FOUND"]);
  }
  assert.deepEqual(await errorOf(ignored("a b")), [404, "M_NOT_FOUND"]);
  assert.equal(asked().length, 0);
});
