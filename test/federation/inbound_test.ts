import assert from "node:assert/strict";
import { createConnection } from "node:net";
import { before, describe, test } from "node:test";
import { MultipartReader } from "../../origin/matrix/media/multipart_reader.ts";
import { startStack, type TestStack } from "../support/app.ts";
import { ask, type Heard, jsonOf, untilHit, upload } from "../support/http.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";
import { makePhoto } from "../support/pictures.ts";
import {
  json,
  LOOPBACK_FEDERATION,
  makeOwnKey,
  makeRemoteWorld,
  type RemoteServer,
  type RemoteWorld,
} from "../support/remote_server.ts";
import { requestsSeen } from "../support/requests_seen.ts";
import { until } from "../support/until.ts";

const SERVER = "example.org";
const USER = "token_of_user";
const V1 = "/_matrix/federation/v1/media";
const V2 = "/_matrix/federation/unstable/org.matrix.msc3916.v2/media";
const NAME = 'café; "Ω" \u{1F414}.jpg';

const lifetime = lifetimeOfSuite();
let world: RemoteWorld;
let remote: RemoteServer;
let stack: TestStack;
let photo: Buffer;
const ids: Record<string, string> = {};

before(async () => {
  world = makeRemoteWorld(lifetime);
  remote = await world.start();
  const ownKey = await makeOwnKey(lifetime);
  stack = await startStack(lifetime, {
    serverName: SERVER,
    yaml: `federation: ${LOOPBACK_FEDERATION}`,
    files: [ownKey.configure(SERVER)],
    overrides: { outboundCa: world.authority.ca },
  });
  photo = await makePhoto(640, 480);
  const id = async (body: Buffer, type: string, name?: string) => {
    const mxc = await upload(stack.tiers.origin ?? "", USER, body, { type, ...(name === undefined ? {} : { name }) });
    return mxc.split("/")[1] ?? "";
  };
  ids.photo = await id(photo, "image/jpeg", NAME);
  ids.page = await id(Buffer.from("<b>".repeat(100)), "text/html", "page.html");
  ids.large = await id(Buffer.alloc(3_000_000, "large "), "application/octet-stream");
  ids.tricky = await id(Buffer.from("\r\n--b\r\n\r\n--b--\r\n".repeat(30)), "text/plain");
});

/** Asks as a remote server. */
async function askAs(server: RemoteServer, base: string, path: string, headers: Record<string, string> = {}) {
  return await ask(base, path, { headers: { authorization: await server.sign(SERVER, path), ...headers } });
}

/** Asks with any number of `Authorization` headers, each on a line of its own: the beginning of the answer. */
async function raw(base: string, path: string, authorizations: readonly string[]): Promise<string> {
  const { hostname, port, host } = new URL(base);
  const lines = authorizations.map((one) => `Authorization: ${one}\r\n`).join("");
  const socket = createConnection({ host: hostname, port: Number(port) });
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines}Connection: close\r\n\r\n`);
  for await (const chunk of socket) return (chunk as Buffer).toString("latin1");
  return "";
}

/** Takes the multipart body apart, strictly. */
function opened(heard: Heard): {
  outer: string;
  metadata: unknown;
  headers: ReadonlyMap<string, string>;
  bytes: Buffer;
} {
  const outer = heard.headers["content-type"] ?? "";
  const boundary = /^multipart\/mixed; boundary=([0-9a-f]{32})$/.exec(outer)?.[1] ?? "";
  assert.notEqual(boundary, "", outer);
  assert.ok(
    heard.body.subarray(0, 4 + boundary.length).toString() === `\r\n--${boundary}`,
    "begins with CRLF and the delimiter",
  );
  assert.ok(heard.body.toString("latin1").endsWith(`\r\n--${boundary}--\r\n`), "ends with the closing delimiter");
  const reader = new MultipartReader(boundary);
  const parts: { headers: ReadonlyMap<string, string>; chunks: Uint8Array[] }[] = [];
  for (const event of [...reader.push(heard.body), ...reader.finish()]) {
    if (event.kind === "part") parts.push({ headers: event.headers, chunks: [] });
    if (event.kind === "data") parts.at(-1)?.chunks.push(event.bytes);
  }
  assert.equal(parts.length, 2);
  assert.deepEqual([...(parts[0]?.headers ?? [])], [["content-type", "application/json"]]);
  return {
    outer: outer.replaceAll(boundary, "BOUNDARY"),
    metadata: JSON.parse(Buffer.concat(parts[0]?.chunks ?? []).toString()),
    headers: parts[1]?.headers ?? new Map(),
    bytes: Buffer.concat(parts[1]?.chunks ?? []),
  };
}

/** An answer without what may differ between two of the same: the boundary, and what belongs to the connection or the tier. */
function comparable(heard: Heard) {
  const boundary = /boundary=(\w+)/.exec(heard.headers["content-type"] ?? "")?.[1] ?? "\0";
  const { date: _, connection: __, "keep-alive": ___, "cache-status": ____, ...headers } = heard.headers;
  return {
    status: heard.status,
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replaceAll(boundary, "B")]),
    ),
    body: heard.body.toString("latin1").replaceAll(boundary, "B"),
  };
}

describe("media for another server", () => {
  for (const tier of ["origin", "edge"] as const) {
    test(`#159 #160 #161 comes in an envelope of two parts with type and name, at the ${tier}`, async () => {
      for (const prefix of [V1, V2]) {
        const heard = await askAs(remote, stack.tiers[tier], `${prefix}/download/${ids.photo}?timeout_ms=20000`);
        assert.equal(heard.status, 200, heard.body.toString());
        assert.equal(heard.headers["content-length"], String(heard.body.length));
        const { metadata, headers, bytes } = opened(heard);
        assert.deepEqual(metadata, {});
        assert.equal(headers.get("content-type"), "image/jpeg");
        assert.match(headers.get("content-disposition") ?? "", /^inline; filename=.*filename\*=UTF-8''caf%C3%A9%3B%20/);
        assert.ok(bytes.equals(photo));
      }
    });
  }

  test("#169 thumbnails come the same way, of the same rules as those of clients", async () => {
    const query = "width=96&height=96&method=crop";
    const client = await ask(stack.tiers.origin, `/_matrix/client/v1/media/thumbnail/${SERVER}/${ids.photo}?${query}`, {
      token: USER,
    });
    for (const base of Object.values(stack.tiers)) {
      const { headers, bytes } = opened(await askAs(remote, base, `${V1}/thumbnail/${ids.photo}?${query}`));
      assert.ok(bytes.equals(client.body));
      assert.equal(headers.get("content-type"), client.headers["content-type"]);
      assert.equal(headers.get("content-disposition"), client.headers["content-disposition"]);
    }
  });

  test("#177 whatever looks like a delimiter in the media comes through", async () => {
    const { bytes } = opened(await askAs(remote, stack.tiers.edge, `${V1}/download/${ids.tricky}`));
    assert.equal(bytes.toString(), "\r\n--b\r\n\r\n--b--\r\n".repeat(30));
  });

  test("ranges and conditions are ignored", async () => {
    for (const base of Object.values(stack.tiers)) {
      const headers = { range: "bytes=0-9", "if-none-match": "*", "if-modified-since": new Date().toUTCString() };
      const heard = await askAs(remote, base, `${V1}/download/${ids.photo}`, headers);
      assert.equal(heard.status, 200);
      assert.ok(opened(heard).bytes.equals(photo));
    }
  });

  const CASES: readonly [string, string][] = [
    ["a picture", `${V1}/download/{photo}`],
    ["a page, never inline", `${V1}/download/{page}`],
    ["a body too large to be shared", `${V1}/download/{large}`],
    ["a thumbnail", `${V1}/thumbnail/{photo}?width=320&height=240`],
    ["a thumbnail without a width", `${V1}/thumbnail/{photo}?height=240`],
    ["a thumbnail of width 0", `${V1}/thumbnail/{photo}?width=0&height=240`],
    ["a thumbnail of what is no picture", `${V1}/thumbnail/{page}?width=32&height=32`],
    ["media that does not exist", `${V1}/download/nothing`],
    ["what is no media id", `${V1}/download/a.b`],
    ["encoded dots", `${V1}/download/%2e%2e`],
    ["a bad timeout", `${V1}/download/{photo}?timeout_ms=soon`],
    ["an unknown path", `${V1}/downloads/{photo}`],
    ["a server name in the path", `${V1}/download/${SERVER}/{photo}`],
  ];
  for (const [name, template] of CASES) {
    test(`both tiers answer alike: ${name}`, async () => {
      const path = template.replace(/\{(\w+)\}/, (_, which: string) => ids[which] ?? "");
      const atOrigin = comparable(await askAs(remote, stack.tiers.origin, path));
      for (let round = 0; round < 2; round += 1) {
        assert.deepEqual(comparable(await askAs(remote, stack.tiers.edge, path)), atOrigin, `round ${round}`);
      }
    });
  }

  test("what is published is answered by the edge alone, whoever signed the request", async () => {
    const path = `${V1}/download/${ids.page}`;
    await untilHit(() => askAs(remote, stack.tiers.edge, path));
    const seen = await requestsSeen(stack.origin.app.metrics);
    for (let round = 0; round < 5; round += 1) {
      const heard = await askAs(remote, stack.tiers.edge, path);
      assert.match(heard.headers["cache-status"] ?? "", /hit/);
      opened(heard);
    }
    assert.equal(await requestsSeen(stack.origin.app.metrics), seen, "the origin was not asked again");
  });

  test("#166 nothing but our own media is served", async () => {
    const other = await world.start();
    other.media.set("theirs", { bytes: Buffer.from("theirs"), type: "text/plain" });
    const client = await ask(stack.tiers.origin, `/_matrix/client/v1/media/download/${other.name}/theirs`, {
      token: USER,
    });
    assert.equal(client.body.toString(), "theirs");
    for (const base of Object.values(stack.tiers)) {
      const heard = await askAs(remote, base, `${V1}/download/theirs`);
      assert.equal(heard.status, 404);
      assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
    }
  });

  test("what is deleted is 404 for servers too, at once", async () => {
    const mxc = await upload(stack.tiers.origin, USER, "to be deleted ".repeat(20));
    const path = `${V1}/download/${mxc.split("/")[1]}`;
    assert.equal((await askAs(remote, stack.tiers.edge, path)).status, 200);
    await ask(stack.tiers.origin, `/_matrix/media/unstable/download/${mxc}`, { method: "DELETE", token: USER });
    assert.equal((await askAs(remote, stack.tiers.origin, path)).status, 404);
    await stack.edge.forget();
    assert.equal((await askAs(remote, stack.tiers.edge, path)).status, 404);
  });

  test("#168 an upload that is awaited comes as soon as it is there, or is 504", async () => {
    const created = await ask(stack.tiers.origin, "/_matrix/media/v1/create", { method: "POST", token: USER });
    const id = String(jsonOf(created).content_uri).split("/").at(-1);
    const late = await askAs(remote, stack.tiers.edge, `${V1}/download/${id}?timeout_ms=100`);
    assert.equal(late.status, 504);
    assert.equal(jsonOf(late).errcode, "M_NOT_YET_UPLOADED");
    const waiting = askAs(remote, stack.tiers.edge, `${V1}/download/${id}?timeout_ms=10000`);
    const body = Buffer.alloc(2_000, "b");
    await ask(stack.tiers.origin, `/_matrix/media/v3/upload/${SERVER}/${id}`, { method: "PUT", token: USER, body });
    assert.ok(opened(await waiting).bytes.equals(body));
  });

  test("methods other than GET are none", async () => {
    for (const base of Object.values(stack.tiers)) {
      for (const method of ["HEAD", "POST", "PUT"]) {
        const authorization = await remote.sign(SERVER, `${V1}/download/${ids.photo}`, { method });
        const heard = await ask(base, `${V1}/download/${ids.photo}`, { method, headers: { authorization } });
        assert.equal(heard.status, 405, method);
      }
    }
  });
});

describe("a request that is not proven to come from a server", () => {
  const refused = async (headers: Record<string, string>, path = `${V1}/download/${ids.photo}`) => {
    for (const [tier, base] of Object.entries(stack.tiers)) {
      for (let round = 0; round < 2; round += 1) {
        const heard = await ask(base, path, { headers });
        assert.equal(heard.status, 401, `${tier}: ${heard.body}`);
        assert.equal(jsonOf(heard).errcode, "M_UNAUTHORIZED");
        assert.equal(heard.headers["cache-control"], "no-store");
      }
    }
  };

  test("#195 is refused: without a header, with another scheme, with one that is malformed", async () => {
    await refused({});
    await refused({ authorization: "Bearer token_of_user" });
    await refused({ authorization: "X-Matrix" });
    await refused({ authorization: 'X-Matrix origin="bad name",key="ed25519:1",sig="x"' });
    await refused({ authorization: `X-Matrix origin="${remote.name}",destination="${SERVER}",sig="x"` });
    // Authentication comes before the path and the query.
    await refused({}, `${V1}/thumbnail/${ids.photo}`);
  });

  test("#188 is refused where it was meant for another server", async () => {
    const path = `${V1}/download/${ids.photo}`;
    for (const destination of ["elsewhere.example", "EXAMPLE.ORG", `${SERVER}:8448`]) {
      await refused({ authorization: await remote.sign(destination, path) });
    }
  });

  test("#184 is refused where the signature is of another target, method or content", async () => {
    const path = `${V1}/download/${ids.photo}`;
    for (const signed of [`${V1}/download/other`, `${path}?`, `${path}?timeout_ms=1`, path.replace("v1", "v2")]) {
      await refused({ authorization: await remote.sign(SERVER, path, { signed }) });
    }
    await refused({ authorization: await remote.sign(SERVER, path, { method: "POST" }) });
    const good = await remote.sign(SERVER, path);
    await refused({ authorization: good.replace(/sig="./, (text) => (text.endsWith("A") ? 'sig="B' : 'sig="A')) });
    await refused({ authorization: good.replace(/sig="[^"]*"/, 'sig="AAAA"') });
  });

  test("#183 a signature over an empty content is none over no content", async () => {
    const path = `${V1}/download/${ids.photo}`;
    await refused({ authorization: await remote.sign(SERVER, path, { content: {} }) });
  });

  test("is refused where another server signed it in its name", async () => {
    const other = await world.start();
    const path = `${V1}/download/${ids.photo}`;
    await askAs(other, stack.tiers.edge, path);
    const forged = (await other.sign(SERVER, path)).replace(other.name, remote.name);
    await refused({ authorization: forged });
    await refused({ authorization: forged.replace(other.keyId, remote.keyId) });
  });

  test("is refused where it says to be from the server that it is for, and nobody's keys are looked for", async () => {
    const sig = "A".repeat(86);
    await refused({
      authorization: `X-Matrix origin="${SERVER}",destination="${SERVER}",key="ed25519:a",sig="${sig}"`,
    });
    await refused({ authorization: `X-Matrix origin="${SERVER}",key="ed25519:a",sig="${sig}"` });
  });

  test("is refused where one of two signatures is wrong; two right ones are fine", async () => {
    const path = `${V1}/download/${ids.photo}`;
    const good = await remote.sign(SERVER, path);
    await refused({ authorization: `${good}, ${good.replace(/sig="../, 'sig="AA')}` });
    for (const base of Object.values(stack.tiers)) {
      assert.equal((await ask(base, path, { headers: { authorization: `${good},${good}` } })).status, 200);
      assert.match(await raw(base, path, [good, good]), /^HTTP\/1\.1 200 /);
      assert.match(await raw(base, path, [good, "Bearer abc"]), /^HTTP\/1\.1 200 /);
      assert.match(await raw(base, path, [good, good.replace(/sig="../, 'sig="AA')]), /^HTTP\/1\.1 401 /);
    }
  });
});

describe("a request is accepted", () => {
  test("#187 without a destination", async () => {
    const path = `${V1}/download/${ids.photo}`;
    const authorization = (await remote.sign(SERVER, path)).replace(/destination="[^"]*",/, "");
    for (const base of Object.values(stack.tiers)) {
      assert.equal((await ask(base, path, { headers: { authorization } })).status, 200);
    }
  });

  test("#189 #190 #191 #192 in every way that the grammar allows to write the header", async () => {
    const path = `${V1}/download/${ids.photo}`;
    const { parseXMatrix } = await import("../../shared/matrix/x_matrix.ts");
    const { origin, destination, key, sig } = parseXMatrix(await remote.sign(SERVER, path)) ?? {};
    for (const authorization of [
      `x-matrix   SIG="${sig}",KEY=${key}\t,\torigin="${origin}",foo="a,b=c",Destination=${destination}`,
      `X-Matrix origin=${origin},destination=${destination},key=${key},sig="${sig}"`,
      `X-Matrix origin="${origin?.replace("1", "\\1")}",destination="${destination}",key="${key}",sig="${sig}"`,
    ]) {
      for (const base of Object.values(stack.tiers)) {
        const heard = await ask(base, path, { headers: { authorization } });
        assert.equal(heard.status, 200, authorization);
      }
    }
  });

  test("#184 with a target that is odd but signed as it is", async () => {
    for (const suffix of ["?", "?a=%7e&b=%7E&&x", "?timeout_ms=20000&q=a+b%20c", "?x=[1]"]) {
      const path = `${V1}/download/${ids.photo}${suffix}`;
      for (const [tier, base] of Object.entries(stack.tiers)) {
        const heard = await askAs(remote, base, path);
        assert.equal(heard.status, 200, `${tier} ${suffix}: ${heard.body.subarray(0, 200)}`);
      }
    }
  });
});

describe("the keys of a server", () => {
  test("what could not be fetched is told as that, and what was fetched and proves nothing as a refusal", async () => {
    const path = `${V1}/download/${ids.photo}`;
    const failures: [string, number, (server: RemoteServer) => void][] = [
      [
        "a challenge",
        502,
        (server) => server.instead.set("/_matrix/key", (_, response) => void response.writeHead(403).end("<html>")),
      ],
      ["a wrong form", 502, (server) => server.instead.set("/_matrix/key", (_, response) => json(response, 200, []))],
      ["another name", 401, (server) => Object.assign(server, { keyAnswer: { server_name: "other.example" } })],
      ["no longer valid", 401, (server) => Object.assign(server, { keyAnswer: { valid_until_ts: Date.now() - 1 } })],
      ["no key signs it", 401, (server) => Object.assign(server, { keyAnswer: { verify_keys: {} } })],
      ["nobody there", 502, (server) => void server.close()],
    ];
    for (const [name, status, spoil] of failures) {
      const server = await world.start();
      spoil(server);
      for (const base of Object.values(stack.tiers)) {
        const heard = await askAs(server, base, path);
        assert.equal(heard.status, status, `${name}: ${heard.body}`);
        assert.equal(jsonOf(heard).errcode, status === 401 ? "M_UNAUTHORIZED" : "M_UNKNOWN");
      }
    }
  });

  test("#196 those that it has put aside prove nothing", async () => {
    const server = await world.start();
    const spare = await world.start();
    server.keyAnswer = { old_verify_keys: { [spare.keyId]: { key: spare.publicKey, expired_ts: Date.now() + 1e9 } } };
    const path = `${V1}/download/${ids.photo}`;
    const forged = (await spare.sign(SERVER, path)).replace(spare.name, server.name);
    for (const base of Object.values(stack.tiers)) {
      assert.equal((await ask(base, path, { headers: { authorization: forged } })).status, 401);
    }
  });

  test("are fetched once for any number of requests, and at most once a minute for a key that it does not have", async () => {
    const server = await world.start();
    const path = `${V1}/download/${ids.photo}`;
    const unknown = await server.sign(SERVER, path, { keyId: "ed25519:unknown" });
    await Promise.all(Array.from({ length: 20 }, () => askAs(server, stack.tiers.edge, path)));
    assert.equal(server.asked("/_matrix/key"), 1);
    for (let round = 0; round < 5; round += 1) {
      const heard = await ask(stack.tiers.edge, path, { headers: { authorization: unknown } });
      assert.equal(heard.status, 401);
    }
    assert.ok(server.asked("/_matrix/key") <= 2, String(server.asked("/_matrix/key")));
  });

  test("a verdict is never remembered: a replay is judged anew, and by the key that is valid then", async () => {
    const server = await world.start();
    const path = `${V1}/download/${ids.photo}`;
    await askAs(server, stack.tiers.edge, path);
    const key = `k/${server.name}/${server.keyId}`;
    const stored = await until(async () => (await stack.edge.bucket.get(key)) ?? undefined, "the key is published");
    const document = JSON.parse((await stored?.text()) ?? "null");
    assert.deepEqual(Object.keys(document).sort(), ["exp", "gen", "key", "key_id", "server_name", "v"]);
    assert.ok(document.exp <= Date.now() + 3_600_000, "it is believed for an hour at most");
    // An expired key at the edge is no key: the origin is asked.
    await stack.edge.bucket.put(key, JSON.stringify({ ...document, exp: Date.now() - 1 }));
    await stack.edge.forget();
    const heard = await askAs(server, stack.tiers.edge, path);
    assert.equal(heard.status, 200);
    assert.doesNotMatch(heard.headers["cache-status"] ?? "", /hit/);
  });
});
