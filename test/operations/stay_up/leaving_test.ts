import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { openPostgres } from "../../../origin/stores/db/postgres.ts";
import { listFiles } from "../../support/files.ts";
import { ask, type Heard, upload } from "../../support/http.ts";
import { type Leaving, leave, requestText } from "../../support/leave.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { makePhoto } from "../../support/pictures.ts";
import { until } from "../../support/until.ts";
import { ADMIN, openSlowStage, SERVER, type SlowStage, type Store } from "./stage.ts";

/**
 * Clients that leave while something is being opened, made, fetched, stored or published, all of which takes its time here: each
 * costs its own request and nothing else. The origin is a process of its own, which would end of what nobody has caught.
 */

type Tier = "origin" | "edge";

interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: Buffer;
}

/** A kind of request. `make`: the n-th of them, no two alike where that matters. */
interface Kind {
  readonly name: string;
  readonly status: number;
  readonly make: (n: number) => Request | Promise<Request>;
}

const TIERS: readonly Tier[] = ["origin", "edge"];
const WAYS: readonly Leaving[] = ["fin", "close", "rst"];
/** When clients leave, in milliseconds: after they have asked, and after the answer has begun. */
const MOMENTS = [{ afterMs: 0 }, { afterMs: 55 }, { afterMs: 130 }, { afterMs: 20, afterFirstByte: true }] as const;
const AT_ONCE = 24;
const CROWD = 64;
const PICTURES = 8;
const V1 = "/_matrix/client/v1/media";
const UNSTABLE = "/_matrix/media/unstable";

for (const store of ["file", "s3"] as const)
  describe(`clients that leave, with bodies in a slow ${store} store`, () => leaving(store));

function leaving(store: Store): void {
  const lifetime = lifetimeOfSuite();
  const pictures: string[] = [];
  let stage: SlowStage;
  let large: string;
  let asked = 0;

  before(async () => {
    stage = await openSlowStage(lifetime, store);
    const { url } = stage.origin;
    large = await upload(url, ADMIN, Buffer.alloc(2_000_000, "large "));
    for (let n = 0; n < PICTURES; n += 1)
      pictures.push(await upload(url, ADMIN, await makePhoto(900, 700, n), { type: "image/jpeg" }));
  });

  const bearer = (token = ADMIN) => ({ authorization: `Bearer ${token}` });
  const get = (path: string, headers: Record<string, string> = {}): Request => ({
    method: "GET",
    path,
    headers: { ...bearer(), ...headers },
  });
  const picture = (n: number) => pictures[n % PICTURES] ?? "";
  const small = (n: number) => upload(stage.origin.url, ADMIN, Buffer.alloc(1_000, `small ${store} ${n} `));
  const signed = async (path: string): Promise<Request> => ({
    method: "GET",
    path,
    headers: { authorization: await stage.remote.sign(SERVER, path) },
  });
  const sizes = [
    "width=32&height=32&method=crop",
    "width=96&height=96&method=crop",
    "width=320&height=240",
    "width=640&height=480",
  ];
  const size = (n: number) => sizes[n % sizes.length] ?? "";

  const kinds: readonly Kind[] = [
    { name: "download", status: 200, make: () => get(`${V1}/download/${large}`) },
    { name: "a range", status: 206, make: () => get(`${V1}/download/${large}`, { range: "bytes=1000000-1999999" }) },
    { name: "head", status: 200, make: () => ({ ...get(`${V1}/download/${large}`), method: "HEAD" }) },
    { name: "thumbnail", status: 200, make: (n) => get(`${V1}/thumbnail/${picture(n)}?${size(n)}`) },
    {
      name: "upload",
      status: 200,
      make: (n) => ({
        method: "POST",
        path: "/_matrix/media/v3/upload",
        headers: bearer(),
        body: Buffer.alloc(200_000, `upload ${n} `),
      }),
    },
    {
      name: "create",
      status: 200,
      make: () => ({ method: "POST", path: "/_matrix/media/v1/create", headers: bearer(), body: Buffer.from("{}") }),
    },
    {
      name: "async upload",
      status: 200,
      make: async (n) => {
        const heard = await ask(stage.origin.url, "/_matrix/media/v1/create", { method: "POST", token: ADMIN });
        const id = String(JSON.parse(heard.body.toString()).content_uri).replace("mxc://", "");
        return {
          method: "PUT",
          path: `/_matrix/media/v3/upload/${id}`,
          headers: bearer(),
          body: Buffer.alloc(100_000, `put ${n} `),
        };
      },
    },
    { name: "remote download", status: 200, make: (n) => get(`${V1}/download/${stage.remote.name}/r${store}${n}`) },
    { name: "info of remote media", status: 200, make: (n) => get(`${UNSTABLE}/info/${stage.remote.name}/i${n}`) },
    { name: "local copy", status: 200, make: (n) => get(`${UNSTABLE}/local_copy/${stage.remote.name}/c${n}`) },
    { name: "info", status: 200, make: (n) => get(`${UNSTABLE}/info/${picture(n)}`) },
    {
      name: "federation download",
      status: 200,
      make: () => signed(`/_matrix/federation/v1/media/download/${large.split("/")[1]}`),
    },
    {
      name: "federation thumbnail",
      status: 200,
      make: (n) => signed(`/_matrix/federation/v1/media/thumbnail/${picture(n + 1).split("/")[1]}?${size(n)}`),
    },
    { name: "config", status: 200, make: () => get(`${V1}/config`) },
    { name: "usage", status: 200, make: () => get("/_matrix/media/v3/usage") },
    { name: "versions", status: 200, make: () => get("/_matrix/client/versions") },
    { name: "identicon", status: 200, make: (n) => get(`/_matrix/media/v3/identicon/seed${n}`) },
    {
      name: "federation test",
      status: 200,
      make: () => get(`${UNSTABLE}/admin/federation/test/${encodeURIComponent(stage.remote.name)}`),
    },
    {
      name: "purge",
      status: 200,
      make: async (n) => ({ ...get(`${UNSTABLE}/download/${await small(n)}`), method: "DELETE" }),
    },
    {
      name: "logout",
      status: 200,
      make: (n) => {
        stage.homeserver.accounts.set(`token_${n}`, { user_id: `@u${n}:${SERVER}` });
        return {
          method: "POST",
          path: "/_matrix/client/v3/logout",
          headers: bearer(`token_${n}`),
          body: Buffer.alloc(0),
        };
      },
    },
    { name: "health", status: 200, make: () => get("/healthz") },
  ];

  async function heardWhole(tier: Tier, kind: Kind): Promise<Heard> {
    const { method, path, headers, body } = await kind.make(asked++);
    return await ask(stage.tiers[tier], path, { method, headers, body });
  }

  /** Every second of all ways and moments to leave, others for the next kind of request; of bodies also half is sent. */
  function departures(tier: Tier, kind: Kind, turn: number): (() => Promise<void>)[] {
    const all = WAYS.flatMap((how, way) =>
      MOMENTS.map((moment, at) => ({ how, moment, isHalf: at % 2 === 0, nth: way + at })),
    );
    return all
      .filter(({ nth }) => (nth + turn) % 2 === 0)
      .map(({ how, moment, isHalf }) => async () => {
        const { method, path, headers, body } = await kind.make(asked++);
        const sent = body && { sent: isHalf ? body.subarray(0, body.byteLength >> 1) : body, length: body.byteLength };
        await leave(stage.tiers[tier], { text: requestText(method, path, headers, sent), how, ...moment });
      });
  }

  for (const name of ["download", "remote download", "federation download"]) {
    test(`a crowd that leaves one after the other during one ${name} each ends nothing but its requests`, async () => {
      const kind = kinds.find((one) => one.name === name);
      assert.ok(kind);
      const crowd = Array.from({ length: CROWD }, async (_, n) => {
        const { method, path, headers } = await kind.make(asked++);
        const text = requestText(method, path, headers);
        // Over all of the time that an answer takes to begin and to be sent.
        await leave(stage.origin.url, { text, afterMs: n * 8, how: n % 2 === 0 ? "close" : "rst" });
      });
      await Promise.all(crowd);
      assert.equal((await heardWhole("origin", kind)).status, kind.status);
      assert.equal(stage.origin.child.exitCode, null, stage.origin.said().slice(-3_000));
    });
  }

  for (const tier of TIERS) {
    test(`at the ${tier} they end nothing but their requests`, { timeout: 200_000 }, async () => {
      const leaving = kinds.flatMap((kind, turn) => departures(tier, kind, turn)).values();
      const worker = async () => {
        for (const go of leaving) await go();
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      assert.equal(stage.origin.child.exitCode, null, stage.origin.said().slice(-3_000));
      for (const kind of kinds) assert.equal((await heardWhole(tier, kind)).status, kind.status, kind.name);
      assert.equal(stage.origin.child.exitCode, null, stage.origin.said().slice(-3_000));
      assert.equal(await stage.origin.metric("mxcdn_unexpected_errors_total"), 0);
    });
  }

  test("nothing is left of them: no temporary file, no open file, no connection of the database", async () => {
    const { folder } = stage.origin;
    const staged = async () => [
      ...(await listFiles(`${folder}/media/.staging`)),
      ...(await listFiles(`${folder}/staging`)),
    ];
    await until(async () => (await staged()).length === 0, "temporary files are left");
    const open = () =>
      stage.origin
        .descriptors()
        .filter((path) => path.startsWith(`${folder}/media`) || path.startsWith(`${folder}/staging`));
    await until(() => open().length === 0, "files are left open");
    assert.doesNotMatch(stage.origin.said(), /garbage collection/, "a file was closed by nobody");
    if (stage.postgres !== undefined) {
      const database = await openPostgres({ url: stage.postgres, maxConnections: 1 });
      const busy = async () =>
        (
          await database.query(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'",
          )
        ).rowCount;
      await until(async () => (await busy()) === 0, "a connection is left in a transaction").finally(() =>
        database.close(),
      );
    }
    assert.equal((await ask(stage.origin.url, "/healthz")).status, 200);
  });

  test("each is told as a client that left, and none as an error of ours", async () => {
    const said = stage.origin.said();
    assert.deepEqual(said.match(/^.* ERROR .*$/gm) ?? [], []);
    assert.equal(await stage.origin.metric("media_http_responses_total", 'statusCode="500"'), 0);
    assert.ok((await stage.origin.metric("media_http_responses_total", 'statusCode="499"')) > 20);
    const line = / INFO client left id="[^"]+" action="upload" method="POST" status=499 receivedBytes=\d+ sentBytes=0 /;
    assert.ok(line.test(said), "no upload is told as one whose client left");
  });
}
