import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { before, describe, test } from "node:test";
import { makeLog } from "../../../origin/platform/log.ts";
import { ACCOUNTS, HOP_SECRET, startStack, type TestStack } from "../../support/app.ts";
import { type BrokenUpload, breakOff } from "../../support/break_off.ts";
import { type Asking, ask, upload } from "../../support/http.ts";
import { lifetimeOfSuite } from "../../support/lifetime.ts";
import { bytes, download } from "../uploads/stage.ts";

/** Checklist #49: whatever happens, no token and no secret is in the log, the metrics, an error, or a question to somebody else. */

const SECRET = "the-shared-secret-of-the-repository";
const SERVICE_TOKEN = "the-token-of-a-service";
const TOKENS = {
  good: "token_of_user",
  guest: "token_of_guest",
  admin: "token_of_admin",
  bad: "a-token-that-nobody-knows",
  late: "a-token-that-came-in-an-outage",
  query: "token_of_other",
};
const BROKEN: BrokenUpload = {
  method: "POST",
  path: `/_matrix/media/v3/upload?access_token=${TOKENS.query}`,
  length: 5_000,
};
const SECRETS = [...Object.values(TOKENS), SECRET, SERVICE_TOKEN, HOP_SECRET, "local-secret"];

for (const json of [true, false]) {
  describe(`the log at its most talkative, ${json ? "as JSON" : "in plain lines"}`, () => {
    const lifetime = lifetimeOfSuite();
    const lines: string[] = [];
    const answers: string[] = [];
    let stack: TestStack;

    before(async () => {
      stack = await startStack(lifetime, {
        accounts: { ...ACCOUNTS },
        yaml: `sharedSecretAuth: { enabled: true, token: ${SECRET} }
federation: { disallowedNetworks: [] }
accessTokens:
  maxCacheTimeSeconds: 3600
  useLocalAppserviceConfig: true
  appservices: [{ id: bridge, asToken: ${SERVICE_TOKEN}, senderUserId: "@bot:example.org" }]
`,
        overrides: { log: makeLog({ level: "trace", json, write: (line) => void lines.push(line) }) },
      });
    });

    async function asked(path: string, asking: Asking = {}): Promise<void> {
      for (const base of Object.values(stack.tiers)) {
        const heard = await ask(base, path, asking);
        answers.push(JSON.stringify(heard.headers), heard.headers["content-type"] ? heard.body.toString() : "");
      }
    }

    test("#49 tells of all that went well and wrong, and holds no token and no secret", async () => {
      const id = await upload(stack.tiers.edge, TOKENS.good, bytes());
      const lost = await upload(stack.tiers.edge, TOKENS.good, bytes());
      const config = "/_matrix/client/v1/media/config";
      const tokens = Object.values(TOKENS).filter((token) => token !== TOKENS.late);
      for (const token of [...tokens, SECRET, SERVICE_TOKEN]) {
        await asked(download(id), { token });
        await asked(`${config}?access_token=${token}`);
        await asked(`/_matrix/media/v3/download/${id}?access_token=${token}`);
        await asked(`/_matrix/media/unstable/download/${id}x?access_token=${token}`, { method: "DELETE" });
        await asked(`/_matrix/client/v1/media/thumbnail/${id}?width=${token}&access_token=${token}`);
        await asked(config, { headers: { authorization: `Basic ${token}` } });
        await asked(`/_matrix/client/v1/media/nonsense?access_token=${token}`);
      }
      await asked(`${config}?user_id=@someone:example.org`, { token: SERVICE_TOKEN });
      // Another server that cannot be reached, a homeserver in trouble, a body that does not come, an object that is lost.
      await asked(download("127.0.0.1:9/abc"), { token: TOKENS.good });
      await asked(download("127.0.0.1:9/abc"), { token: SECRET });
      stack.homeserver.answer = { status: 500, body: { errcode: "M_UNKNOWN", error: TOKENS.late } };
      await asked(config, { token: TOKENS.late });
      await asked(`${config}?access_token=${TOKENS.late}`);
      await asked("/_matrix/client/versions", { token: TOKENS.late });
      stack.homeserver.answer = undefined;
      await asked("/_matrix/media/v3/upload", { method: "POST", token: TOKENS.good, body: "" });
      for (const base of Object.values(stack.tiers)) await breakOff(base, BROKEN);
      await rm(`${stack.origin.folder}/media`, { recursive: true });
      await asked(download(lost), { token: TOKENS.good });
      stack.homeserver.answer = { status: 502, body: "no" };
      await asked("/_matrix/client/v3/logout", { method: "POST", token: TOKENS.good, body: "" });
      stack.homeserver.answer = undefined;
      await asked("/_matrix/client/v3/logout/all", { method: "POST", token: TOKENS.good, body: "" });
      await stack.homeserver.close();
      await asked(config, { token: TOKENS.late });
      await new Promise((resolve) => setTimeout(resolve, 500));

      const text = lines.join("");
      for (const level of json ? ['"info"', '"debug"', '"error"'] : [" INFO ", " DEBUG ", " ERROR "]) {
        assert.ok(text.includes(level), `nothing was said at level ${level}`);
      }
      assert.ok(lines.length > 50);
      const { body: metrics } = await stack.origin.app.metrics.page();
      for (const secret of SECRETS) {
        assert.ok(!text.includes(secret), `the log has ${secret}: ${lines.find((line) => line.includes(secret))}`);
        assert.ok(!metrics.includes(secret), `the metrics have ${secret}`);
        const where = answers.find((answer) => answer.includes(secret));
        assert.ok(where === undefined, `an answer has ${secret}: ${where}`);
      }
    });

    test("#49 #47 the edge bucket holds no token, neither in a key nor in a document", async () => {
      const { bucket } = stack.edge;
      const { objects } = await bucket.list();
      assert.ok(
        objects.some(({ key }) => key.startsWith("a/")),
        "there are verdicts",
      );
      for (const { key, size } of objects) {
        const text = size < 10_000 ? await (await bucket.get(key))?.text() : "";
        for (const secret of SECRETS) assert.ok(!key.includes(secret) && !text?.includes(secret), key);
      }
    });

    test("#49 the database holds no token", async () => {
      const { db } = stack.origin.app;
      const { rows } = await db.query<{ name: string }>(
        "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'",
      );
      assert.ok(rows.length > 5);
      for (const { name } of rows) {
        const { rows: all } = await db.query(`SELECT t::text AS row FROM "${name}" t`);
        const text = JSON.stringify(all);
        for (const secret of SECRETS) assert.ok(!text.includes(secret), name);
      }
    });
  });
}
