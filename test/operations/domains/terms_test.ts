import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildApp } from "../../../origin/app.ts";
import { parseConfig } from "../../../origin/config/load.ts";
import { silentLog } from "../../../origin/platform/log.ts";
import { startStack, type TestStack } from "../../support/app.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { ask, type Heard, untilHit, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";

/** What a changed configuration makes of the verdicts that the edge was given under the old one. */

const USER = "token_of_user";
const USER_ID = "@user:example.org";
const YAML = `
accessTokens: { maxCacheTimeSeconds: 3600 }
downloads: { defaultRangeChunkSizeBytes: 100 }
`;
const HEADERS = { range: "bytes=0-" };

/** How a changed configuration comes to hold. */
const WAYS: Record<
  string,
  (stack: TestStack, yaml: string, later: (close: () => Promise<void>) => void) => Promise<void>
> = {
  async "while we run"(stack, yaml) {
    await stack.origin.app.reconfigure(parseConfig([{ name: "test.yaml", text: yaml }]).config);
  },
  async "at a restart"(stack, yaml, later) {
    await stack.origin.app.close();
    const text = yaml.replace("port: 0", `port: ${new URL(stack.tiers.origin).port}`);
    const app = await buildApp(parseConfig([{ name: "test.yaml", text }]).config, { log: silentLog });
    later(() => app.close());
    await app.listen();
  },
};

for (const [way, change] of Object.entries(WAYS)) {
  describe(`a configuration that changes ${way}`, () => {
    const lifetime = lifetimeOfSuite();

    /** A stack whose edge holds a verdict, then the change. */
    async function changed(edit: (yaml: string, stack: TestStack) => string | Promise<string>) {
      const stack = await startStack(lifetime, { yaml: YAML });
      const id = await upload(stack.tiers.origin, USER, "words ".repeat(50));
      const get = (base: string) =>
        ask(base, `/_matrix/client/v1/media/download/${id}`, { token: USER, headers: HEADERS });
      const before = await untilHit(() => get(stack.tiers.edge));
      assert.equal(before.headers["content-range"], "bytes 0-99/300");
      const yaml = await edit(stack.origin.yaml, stack);
      assert.notEqual(yaml, stack.origin.yaml);
      await change(stack, yaml, (close) => lifetime.after(close));
      return { stack, get };
    }

    /** The edge's answer, as soon as it is the one that is wanted: it may show for two seconds what it has read. */
    async function untilEdge(ask: () => Promise<Heard>, isWanted: (heard: Heard) => boolean): Promise<Heard> {
      for (const deadline = Date.now() + 60_000; ; ) {
        const heard = await ask();
        if (isWanted(heard)) return heard;
        assert.ok(Date.now() < deadline, `still ${heard.status} ${heard.headers["content-range"]}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }

    test("and lets tokens be remembered no more: the edge asks each time", async () => {
      const { stack, get } = await changed((yaml) => yaml.replace("Seconds: 3600", "Seconds: 0"));
      stack.homeserver.accounts.delete(USER);
      assert.equal((await get(stack.tiers.origin)).status, 401);
      await untilEdge(
        () => get(stack.tiers.edge),
        ({ status }) => status === 401,
      );
    });

    test("and serves ranges otherwise: the edge does so, too, from its bucket", async () => {
      const { stack, get } = await changed((yaml) => yaml.replace("SizeBytes: 100", "SizeBytes: 200"));
      assert.equal((await get(stack.tiers.origin)).headers["content-range"], "bytes 0-199/300");
      const isNew = ({ headers }: Heard) => headers["content-range"] === "bytes 0-199/300";
      await untilEdge(
        () => get(stack.tiers.edge),
        (heard) => isNew(heard) && /hit/.test(heard.headers["cache-status"] ?? ""),
      );
    });

    test("and has the homeserver elsewhere: its word counts, not that of the old one", async () => {
      const moved = await startHomeserver({ other: { user_id: USER_ID } });
      lifetime.after(() => moved.close());
      const { stack, get } = await changed((yaml, { homeserver }) => yaml.replaceAll(homeserver.url, moved.url));
      assert.equal((await get(stack.tiers.origin)).status, 401);
      await untilEdge(
        () => get(stack.tiers.edge),
        ({ status }) => status === 401,
      );
    });
  });
}

describe("a change of the configuration that says nothing of tokens", () => {
  const lifetime = lifetimeOfSuite();

  test("leaves the verdicts where they are, and a request that meets a change does not end a session", async () => {
    const stack = await startStack(lifetime, { yaml: YAML });
    const id = await upload(stack.tiers.origin, USER, "words ".repeat(50));
    const get = (token: string) => ask(stack.tiers.edge, `/_matrix/client/v1/media/download/${id}`, { token });
    await get(USER);
    const documents = async () => (await stack.edge.bucket.list({ prefix: "a/" })).objects.map(({ etag }) => etag);
    const before = await documents();
    const reconfigure = (yaml: string) =>
      stack.origin.app.reconfigure(parseConfig([{ name: "test.yaml", text: yaml }]).config);
    await reconfigure(stack.origin.yaml.replace("downloads: {", 'admins: ["@a:example.org"]\ndownloads: {'));
    assert.deepEqual(await documents(), before);

    stack.homeserver.delayMs = 30;
    const tokens = Array.from({ length: 40 }, (_, index) => `token_${index}`);
    for (const token of tokens) stack.homeserver.accounts.set(token, { user_id: USER_ID });
    const asked = tokens.map(async (token, index) => {
      await new Promise((resolve) => setTimeout(resolve, index * 3));
      return (await get(token)).status;
    });
    for (let bytes = 101; bytes < 110; bytes += 1) {
      await reconfigure(stack.origin.yaml.replace("SizeBytes: 100", `SizeBytes: ${bytes}`));
    }
    assert.deepEqual(new Set(await Promise.all(asked)), new Set([200]));
  });
});
