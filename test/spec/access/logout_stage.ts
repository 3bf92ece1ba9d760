import assert from "node:assert/strict";
import { startStack, type TestOrigin } from "../../support/app.ts";
import type { FakeHomeserver } from "../../support/homeserver.ts";
import { ask, type Heard, untilHit, upload } from "../../support/http.ts";
import type { Lifetime } from "../../support/lifetime.ts";
import { untilRevoked } from "../../support/until_revoked.ts";
import type { Wire } from "../../support/wire.ts";

/** A user with two devices, whom both tiers know. */
export interface Devices {
  readonly phone: string;
  readonly laptop: string;
}

/** Both tiers, with the bucket and, on Postgres, the database behind wires that can be cut. */
export interface LogoutStage {
  readonly origin: TestOrigin;
  readonly homeserver: FakeHomeserver;
  readonly bucketWire: Wire;
  readonly databaseWire: Wire | undefined;
  readonly tiers: Readonly<Record<"origin" | "edge", string>>;
  /** Keys of the verdicts in the edge's bucket that are no tombstones. */
  liveVerdicts(): Promise<string[]>;
  /** Makes a user whose devices are remembered at both tiers. */
  meet(name: string): Promise<Devices>;
  /** Asks for media with this token. */
  get(tier: "origin" | "edge", token: string): Promise<Heard>;
  logout(tier: "origin" | "edge", token: string, all?: "all"): Promise<Heard>;
  /** Waits until both tiers refuse these tokens: at the edge, within two seconds of this call. */
  assertOut(...tokens: string[]): Promise<void>;
}

/** Starts the stage: with a `postgres` of its own, or on PGlite. The homeserver is waited for `patienceS` seconds. */
export async function setLogoutStage(
  lifetime: Lifetime,
  { postgres = false, patienceS = 30 } = {},
): Promise<LogoutStage> {
  const stack = await startStack(lifetime, {
    accounts: { uploader: { user_id: "@uploader:example.org", device_id: "D" } },
    yaml: `timeouts: { clientServerTimeoutSeconds: ${patienceS} }`,
    wires: postgres ? ["bucket", "database"] : ["bucket"],
  });
  const { origin, edge, homeserver, wires, tiers } = stack;
  const { bucket: bucketWire, database: databaseWire } = wires;
  if (!bucketWire) throw new Error("the bucket has no wire");
  const path = `/_matrix/client/v1/media/download/${await upload(origin.url, "uploader", "words ".repeat(50))}`;
  const get: LogoutStage["get"] = (tier, token) => ask(tiers[tier], path, { token });

  return {
    ...{ origin, homeserver, bucketWire, databaseWire, tiers, get },
    async liveVerdicts() {
      const { objects } = await edge.bucket.list({ prefix: "a/" });
      const texts = await Promise.all(
        objects.map(async ({ key }) => ({ key, text: (await (await edge.bucket.get(key))?.text()) ?? "" })),
      );
      return texts.filter(({ text }) => !text.includes('"gone"')).map(({ key }) => key);
    },
    async meet(name) {
      const devices = { phone: `${name}_phone`, laptop: `${name}_laptop` };
      for (const token of Object.values(devices)) {
        homeserver.accounts.set(token, { user_id: `@${name}:example.org`, device_id: token });
        for (const tier of ["origin", "edge"] as const) assert.equal((await get(tier, token)).status, 200);
        await untilHit(() => get("edge", token));
      }
      return devices;
    },
    get,
    logout: (tier, token, all) =>
      ask(tiers[tier], `/_matrix/client/v3/logout${all ? "/all" : ""}`, { method: "POST", token, body: "{}" }),
    async assertOut(...tokens) {
      for (const token of tokens) {
        assert.equal((await untilRevoked(() => get("edge", token))).status, 401, token);
        assert.equal((await get("origin", token)).status, 401, token);
      }
    },
  };
}
