import assert from "node:assert/strict";
import { createConnection } from "node:net";
import { before, beforeEach, describe, test } from "node:test";
import { passing } from "../support/clocks.ts";
import { listFiles } from "../support/files.ts";
import { ask, jsonOf } from "../support/http.ts";
import { lifetimeOfSuite } from "../support/lifetime.ts";
import { makePhoto } from "../support/pictures.ts";
import { envelope, json } from "../support/remote_server.ts";
import { openStage, openStream, SERVER, type Stage, USER, until } from "./stage.ts";

const lifetime = lifetimeOfSuite();
let stage: Stage;
let aheadMs = 0;

before(async () => {
  stage = await openStage(lifetime, {
    more: "downloads: { maxBytes: 5000000, failureCacheMinutes: 15, numWorkers: 20 }",
    overrides: passing(() => aheadMs),
  });
});

beforeEach(() => {
  stage.remote.instead.clear();
  stage.remote.listener.asked.length = 0;
});

const DOWNLOAD = "/_matrix/federation/v1/media/download/";

/** Offers a media under a new id. */
let next = 0;
function offer(bytes: Buffer | string, more: { type?: string; disposition?: string } = {}): string {
  next += 1;
  const id = `media${next}`;
  stage.remote.media.set(id, { bytes: Buffer.from(bytes), ...more });
  return id;
}

/** Sends the envelope of a media as far as `split` bytes of it, and the rest when the returned function is called. */
function offerSlowly(bytes: Buffer, split: number): { id: string; go: (how?: "end" | "break") => void } {
  const id = offer(bytes);
  const gate = Promise.withResolvers<"end" | "break">();
  stage.remote.instead.set(DOWNLOAD + id, async (_, response) => {
    const whole = envelope({ bytes });
    const head = whole.length - bytes.length - "\r\n--b0undary--\r\n".length;
    response.writeHead(200, { "content-type": "multipart/mixed; boundary=b0undary" });
    response.write(whole.subarray(0, head + split));
    if ((await gate.promise) === "break") response.destroy();
    else response.end(whole.subarray(head + split));
  });
  return { id, go: (how = "end") => gate.resolve(how) };
}

describe("media of another server", () => {
  test("#91 #98 #99 comes with its bytes, its type and its name, and is recorded as nobody's and as new", async () => {
    const photo = await makePhoto(320, 240);
    const disposition = "inline; filename=\"cafe.jpg\"; filename*=UTF-8''caf%C3%A9%3B%20%F0%9F%90%94.jpg";
    const id = offer(photo, { type: "image/jpeg", disposition });
    for (let round = 0; round < 2; round += 1) {
      const heard = await stage.get(id);
      assert.equal(heard.status, 200, heard.body.toString());
      assert.ok(heard.body.equals(photo));
      assert.equal(heard.headers["content-type"], "image/jpeg");
      assert.match(heard.headers["content-disposition"] ?? "", /filename\*=UTF-8''caf%C3%A9%3B%20%F0%9F%90%94\.jpg$/);
    }
    assert.equal(stage.remote.asked(DOWNLOAD + id), 1);
    const { rows } = await stage.origin.app.db.query(
      "SELECT user_id, frozen, upload_name, content_type FROM media WHERE media_id = $1",
      [id],
    );
    assert.deepEqual(rows, [
      { user_id: null, frozen: true, upload_name: "café; \u{1F414}.jpg", content_type: "image/jpeg" },
    ]);
  });

  test("what is here within a moment is answered like anything stored", async () => {
    // On a busy machine not everything is here within a moment.
    await until(async () => {
      const id = offer("a few bytes");
      const first = await stage.get(id);
      const second = await stage.get(id);
      const told = ["etag", "content-length", "last-modified"].filter((name) => first.headers[name] !== undefined);
      for (const name of told) assert.equal(first.headers[name], second.headers[name]);
      return told.length === 3;
    });
  });

  for (const name of ["ascii.txt", "name with spaces.txt", "name;with;semicolons.txt", "\u{1F414}.txt"]) {
    test(`the file name "${name}" survives`, async () => {
      const { contentDisposition, parseDispositionFileName } = await import("../../shared/http/content_headers.ts");
      const id = offer(`the text of ${name}`, {
        type: "text/plain",
        disposition: contentDisposition("text/plain", name),
      });
      const heard = await stage.get(id);
      assert.equal(parseDispositionFileName(heard.headers["content-disposition"] ?? ""), name);
    });
  }

  test("#170 #186 is asked for by a signed request, with the time that we may wait", async () => {
    const id = offer("signed for");
    assert.equal((await stage.get(id, { suffix: "?timeout_ms=7000" })).status, 200);
    const [line] = stage.remote.listener.asked.filter((one) => one.includes(id));
    const waited = /^GET 127\.0\.0\.1:\d+ .*\?timeout_ms=(\d+)$/.exec(line ?? "")?.[1];
    assert.equal(waited, "7000");
  });

  test("its thumbnails are made here", async () => {
    const id = offer(await makePhoto(640, 480), { type: "image/jpeg" });
    const path = stage.path(id).replace("/download/", "/thumbnail/");
    const heard = await ask(stage.url, `${path}?width=96&height=96&method=crop`, { token: USER });
    assert.equal(heard.status, 200, heard.body.toString());
    assert.equal(stage.remote.asked(DOWNLOAD + id), 1);
  });

  test("a range, a HEAD and HTTP/1.0 wait until it is whole", async () => {
    const bytes = Buffer.alloc(300_000, "0123456789");
    const slow = offerSlowly(bytes, 150_000);
    const ranged = stage.get(slow.id, { headers: { range: "bytes=10-19" } });
    const headed = stage.get(slow.id, { method: "HEAD" });
    const old = rawGet(stage.path(slow.id), "1.0");
    await until(() => stage.remote.asked(DOWNLOAD + slow.id) === 1);
    setTimeout(() => slow.go(), 200);
    const part = await ranged;
    assert.equal(part.status, 206);
    assert.equal(part.body.toString(), "0123456789");
    assert.equal((await headed).headers["content-length"], "300000");
    assert.match(await old, /^HTTP\/1\.1 200[\s\S]*\r\ncontent-length: 300000\r\n/i);
    assert.equal(stage.remote.asked(DOWNLOAD + slow.id), 1);
  });

  test("what has a condition waits until it is whole, since its tag is judged", async () => {
    const slow = offerSlowly(Buffer.alloc(300_000, "0123456789"), 150_000);
    const failed = stage.get(slow.id, { headers: { "if-match": '"another"' } });
    const kept = stage.get(slow.id, { headers: { "if-none-match": "*" } });
    await until(() => stage.remote.asked(DOWNLOAD + slow.id) === 1);
    slow.go();
    assert.equal((await failed).status, 412);
    assert.equal((await kept).status, 304);
  });

  test("its bytes flow to those who ask while they are being stored", async () => {
    const bytes = Buffer.alloc(1_000_000, "flowing ");
    const slow = offerSlowly(bytes, 600_000);
    const streams = await Promise.all([1, 2, 3].map(() => openStream(stage.url, stage.path(slow.id), { token: USER })));
    await Promise.all(streams.map((stream) => stream.received(600_000 - 100)));
    assert.equal((await stage.rows()).filter((row) => row.media_id === slow.id).length, 0, "nothing is recorded yet");
    slow.go();
    for (const stream of streams) assert.ok((await stream.end()).equals(bytes));
    assert.equal(stage.remote.asked(DOWNLOAD + slow.id), 1);
    await until(async () => (await stage.get(slow.id)).headers.etag !== undefined);
  });

  test("a client that leaves or does not read stops neither the storing nor the others", async () => {
    const bytes = Buffer.alloc(4_900_000, "a lot of bytes ");
    const slow = offerSlowly(bytes, 1_000_000);
    const leaving = await openStream(stage.url, stage.path(slow.id), { token: USER });
    const stalled = await openStream(stage.url, stage.path(slow.id), { token: USER, paused: true });
    await leaving.received(500_000);
    leaving.leave();
    slow.go();
    await until(async () => (await stage.rows()).some((row) => row.media_id === slow.id));
    assert.ok((await stage.get(slow.id)).body.equals(bytes));
    assert.equal(stage.remote.asked(DOWNLOAD + slow.id), 1);
    stalled.leave();
  });
});

/** How many bodies are stored once nothing of the tests before is under way. */
async function settledFiles(): Promise<number> {
  const isUnderWay = (file: string) => file.endsWith(".part");
  await until(async () => !(await listFiles(stage.origin.folder)).some(isUnderWay));
  return await stage.files();
}

/** Nothing of a media is recorded or stored. The last of it is removed just after the client has heard. */
async function isNowhere(mediaId: string, filesBefore: number): Promise<void> {
  await until(async () => (await stage.files()) === filesBefore);
  assert.equal((await stage.rows()).filter((row) => row.media_id === mediaId).length, 0);
}

describe("a body that turns out wrong", () => {
  const good = Buffer.alloc(400_000, "some bytes ");
  const multipart = { "content-type": "multipart/mixed; boundary=b0undary" };
  const part = (headers: string) =>
    `\r\n--b0undary\r\nContent-Type: application/json\r\n\r\n{}\r\n--b0undary\r\n${headers}\r\n\r\n`;
  const CASES: readonly [string, (id: string) => [Record<string, string>, Buffer]][] = [
    ["ends before its delimiter", () => [multipart, envelope({ bytes: good }).subarray(0, 300_000)]],
    ["has another boundary than announced", () => [multipart, envelope({ bytes: good }, "another")]],
    [
      "has one part only",
      () => [multipart, Buffer.from("\r\n--b0undary\r\nContent-Type: application/json\r\n\r\n{}\r\n--b0undary--\r\n")],
    ],
    [
      "has metadata that is no object",
      () => [multipart, Buffer.from(envelope({ bytes: good }).toString().replace("{}", "[]"))],
    ],
    ["is no multipart body at all", () => [{ "content-type": "text/html" }, Buffer.from("<html>")]],
    [
      "is longer than its part says",
      () => [
        multipart,
        Buffer.concat([Buffer.from(part("Content-Length: 399999")), good, Buffer.from("\r\n--b0undary--\r\n")]),
      ],
    ],
    [
      "is shorter than its part says",
      () => [
        multipart,
        Buffer.concat([Buffer.from(part("Content-Length: 400001")), good, Buffer.from("\r\n--b0undary--\r\n")]),
      ],
    ],
    ["is larger than allowed", () => [multipart, envelope({ bytes: Buffer.alloc(5_000_001) })]],
  ];
  for (const [name, make] of CASES) {
    test(`is never recorded: one that ${name}`, async () => {
      const before = await settledFiles();
      next += 1;
      const id = `wrong${next}`;
      const [headers, body] = make(id);
      stage.remote.instead.set(DOWNLOAD + id, (_, response) => void response.writeHead(200, headers).end(body));
      for (let round = 0; round < 2; round += 1) {
        const heard = await stage.get(id).catch(() => "broken");
        if (heard === "broken") continue;
        assert.ok(
          typeof heard !== "string" && heard.status === 502,
          typeof heard === "string" ? heard : String(heard.status),
        );
      }
      await isNowhere(id, before);
      assert.equal(stage.remote.asked(DOWNLOAD + id), 1, "it is not asked for again at once");
    });
  }

  test("breaks the connections of all who follow it, and is never a short 200", async () => {
    const before = await settledFiles();
    const slow = offerSlowly(good, 200_000);
    const streams = await Promise.all([1, 2].map(() => openStream(stage.url, stage.path(slow.id), { token: USER })));
    await Promise.all(streams.map((stream) => stream.received(199_000)));
    slow.go("break");
    for (const stream of streams) await assert.rejects(stream.end());
    await isNowhere(slow.id, before);
    const heard = await stage.get(slow.id);
    assert.equal(heard.status, 502);
  });

  test("#113 too large is 502 M_TOO_LARGE where it is known before the first byte", async () => {
    next += 1;
    const id = `large${next}`;
    stage.remote.instead.set(DOWNLOAD + id, (_, response) => {
      response.writeHead(200, { ...multipart, "content-length": "9000000" }).write(part("Content-Type: text/plain"));
    });
    const heard = await stage.get(id);
    assert.equal(heard.status, 502);
    assert.equal(jsonOf(heard).errcode, "M_TOO_LARGE");
  });
});

describe("what another server does not have", () => {
  test("#108 is 404, asked for once in a while, and again when that is over", async () => {
    for (let round = 0; round < 3; round += 1) {
      const heard = await stage.get("missing");
      assert.equal(heard.status, 404);
      assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
    }
    assert.equal(stage.remote.asked(`${DOWNLOAD}missing`), 1);
    stage.remote.media.set("missing", { bytes: Buffer.from("here now") });
    aheadMs += 15 * 60_000 + 1;
    assert.equal((await stage.get("missing")).body.toString(), "here now");
  });

  test("is told apart from a server that is out of order, which is asked again sooner", async () => {
    stage.remote.instead.set(
      `${DOWNLOAD}outage`,
      (_, response) => void response.writeHead(503).end("<html>down</html>"),
    );
    for (let round = 0; round < 2; round += 1) {
      const heard = await stage.get("outage");
      assert.equal(heard.status, 502);
      assert.equal(jsonOf(heard).errcode, "M_UNKNOWN");
    }
    assert.equal(stage.remote.asked(`${DOWNLOAD}outage`), 1);
    stage.remote.instead.clear();
    stage.remote.media.set("outage", { bytes: Buffer.from("back") });
    aheadMs += 61_000;
    assert.equal((await stage.get("outage")).body.toString(), "back");
  });

  test("is fetched once it is uploaded there, where the client waits", async () => {
    let asked = 0;
    stage.remote.instead.set(`${DOWNLOAD}awaited`, (_, response) => {
      asked += 1;
      if (asked < 3) return json(response, 504, { errcode: "M_NOT_YET_UPLOADED", error: "not yet" });
      response.writeHead(200, multipartHeaders).end(envelope({ bytes: Buffer.from("at last") }));
    });
    const impatient = await stage.get("awaited", { suffix: "?timeout_ms=0" });
    assert.equal(impatient.status, 504);
    assert.equal(jsonOf(impatient).errcode, "M_NOT_YET_UPLOADED");
    assert.equal((await stage.get("awaited")).body.toString(), "at last");
    assert.equal(asked, 3);
  });
});

const multipartHeaders = { "content-type": "multipart/mixed; boundary=b0undary" };

describe("nobody else makes us fetch", () => {
  const nothingAsked = () => assert.deepEqual(stage.remote.listener.asked, []);

  test("without a token: 404, no request, no row, no object (CVE-2024-36402, CVE-2024-37303)", async () => {
    const id = offer("planted");
    const before = await settledFiles();
    for (const version of ["r0", "v1", "v3"]) {
      for (const what of [
        `download/${stage.remote.name}/${id}`,
        `thumbnail/${stage.remote.name}/${id}?width=32&height=32`,
      ]) {
        for (const token of [undefined, "nobody", "token_of_guest"]) {
          const heard = await ask(stage.url, `/_matrix/media/${version}/${what}`, { token });
          assert.equal(heard.status, 404);
          assert.equal(jsonOf(heard).errcode, "M_NOT_FOUND");
        }
      }
    }
    nothingAsked();
    await isNowhere(id, before);
  });

  test("#107 #108 with allow_remote=false on the legacy paths; #110 on the others it says nothing", async () => {
    const id = offer("not to be fetched");
    const legacy = stage.path(id).replace("/client/v1/media/", "/media/v3/");
    assert.equal((await ask(stage.url, `${legacy}?allow_remote=false`, { token: USER })).status, 404);
    nothingAsked();
    assert.equal((await stage.get(id, { suffix: "?allow_remote=false" })).status, 200);
    // The first client has its bytes a moment before they are recorded.
    await until(async () => (await ask(stage.url, `${legacy}?allow_remote=false`, { token: USER })).status === 200);
  });

  test("for our own media, whatever is asked for", async () => {
    const heard = await ask(stage.url, `/_matrix/client/v1/media/download/${SERVER}/nothing`, { token: USER });
    assert.equal(heard.status, 404);
    nothingAsked();
  });

  test("a guest is somebody on the authenticated path", async () => {
    assert.equal((await stage.get(offer("for a guest"), { token: "token_of_guest" })).status, 200);
  });

  test("#118 what was fetched is hidden from those without a token", async () => {
    const id = offer("frozen");
    assert.equal((await stage.get(id)).status, 200);
    const legacy = stage.path(id).replace("/client/v1/media/", "/media/v3/");
    assert.equal((await ask(stage.url, legacy)).status, 404);
    assert.equal((await ask(stage.url, legacy, { token: USER })).status, 200);
  });
});

test("an object that is lost is fetched again, for a download and for a thumbnail", async () => {
  const { rm } = await import("node:fs/promises");
  const photo = await makePhoto(200, 100);
  const id = offer(photo, { type: "image/jpeg" });
  const lose = async (lost = id) => {
    const { rows } = await stage.origin.app.db.query<{ location: string }>(
      "SELECT location FROM blobs b JOIN media m ON m.sha256 = b.sha256 WHERE m.media_id = $1",
      [lost],
    );
    await rm(`${stage.origin.folder}/media/${rows[0]?.location}`);
  };
  await stage.get(id);
  await lose();
  assert.ok((await stage.get(id)).body.equals(photo));
  assert.equal(stage.remote.asked(DOWNLOAD + id), 2);
  assert.ok((await stage.get(id, { headers: { range: "bytes=0-9" } })).body.equals(photo.subarray(0, 10)));
  assert.equal(stage.remote.asked(DOWNLOAD + id), 2, "it is back in its place");
  await lose();
  const path = stage.path(id).replace("/download/", "/thumbnail/");
  assert.equal((await ask(stage.url, `${path}?width=32&height=32&method=crop`, { token: USER })).status, 200);
  assert.equal(stage.remote.asked(DOWNLOAD + id), 3);
  const changed = offer(Buffer.from("something"));
  await stage.get(changed);
  await lose(changed);
  stage.remote.media.set(changed, { bytes: Buffer.from("something else") });
  assert.equal((await stage.get(changed)).body.toString(), "something else", "as media that was never here");
});

/** A GET by a raw connection, whole. */
async function rawGet(path: string, version: string): Promise<string> {
  const { hostname, port } = new URL(stage.url);
  const socket = createConnection({ host: hostname, port: Number(port) });
  socket.write(
    `GET ${path} HTTP/${version}\r\nHost: ${hostname}\r\nAuthorization: Bearer ${USER}\r\nConnection: close\r\n\r\n`,
  );
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("latin1");
}
