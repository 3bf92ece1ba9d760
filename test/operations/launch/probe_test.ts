import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startProxy } from "../../interop/reverse_proxy.ts";
import { startStack } from "../../support/app.ts";
import { freePort } from "../../support/free_port.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { spawnCli } from "./spawn_cli.ts";

/** `mxcdn config check --probe`: whether csApi leads to the homeserver that is meant. */

async function probe(t: TestContext, homeservers: Readonly<Record<string, string>>) {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-probe-"));
  t.after(() => rm(folder, { recursive: true }));
  const entries = Object.entries(homeservers).map(([name, csApi]) => `  - {name: ${name}, csApi: "${csApi}"}\n`);
  const store = "datastores: [{id: a, type: file, forKinds: [all], opts: {path: ./media}}]\n";
  await writeFile(join(folder, "c.yaml"), `homeservers:\n${entries.join("")}${store}`);
  const command = spawnCli(t, folder, ["config", "check", "c.yaml", "--probe"]);
  const { code } = await command.ended;
  return { code, lines: command.said().trim().split("\n") };
}

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

test("a homeserver that is meant is said to answer", async (t) => {
  const homeserver = await startHomeserver({});
  t.after(() => homeserver.close());
  const { code, lines } = await probe(t, { "example.org": homeserver.url });
  assert.deepEqual(lines, [
    `example.org: its homeserver answers at ${homeserver.url}`,
    "c.yaml is good: it serves example.org",
  ]);
  assert.equal(code, 0);
});

test("of several, each that cannot be asked is named with its line, and why", async (t) => {
  const homeserver = await startHomeserver({});
  t.after(() => homeserver.close());
  const page = await serve(t, (_request, response) => void response.end("<html>Welcome to nginx"));
  const other = await serve(t, (request, response) => {
    const known = request.url === "/_matrix/client/versions" ? { versions: ["v1.11"] } : { errcode: "M_UNKNOWN_TOKEN" };
    const isKeys = request.url === "/_matrix/key/v2/server";
    response.statusCode = isKeys || "versions" in known ? 200 : 401;
    response.end(JSON.stringify(isKeys ? { server_name: "other.example" } : known));
  });
  const { code, lines } = await probe(t, {
    "good.example": homeserver.url,
    "down.example": `http://127.0.0.1:${await freePort()}`,
    "lost.example": "http://no-such-host.invalid:8008",
    "page.example": page,
    "wrong.example": other,
    "plain.example": homeserver.url.replace("http:", "https:"),
  });
  assert.equal(code, 1);
  const expected = [
    /^good\.example: its homeserver answers/,
    /^c\.yaml:3: homeservers\[1\]\.csApi cannot be asked: nothing listens there; see that it runs/,
    /^c\.yaml:4: homeservers\[2\]\.csApi cannot be asked: its host has no address; see/,
    /^c\.yaml:5: homeservers\[3\]\.csApi is not answered by a homeserver: GET \/_matrix\/client\/versions gives status 200 and no JSON; set it/,
    /^c\.yaml:6: homeservers\[4\]\.csApi leads to the homeserver of "other\.example", not of "wrong\.example"/,
    /^c\.yaml:7: homeservers\[5\]\.csApi cannot be asked: what listens there does not speak TLS; switch TLS on/,
  ];
  assert.equal(lines.length, expected.length, lines.join("\n"));
  expected.forEach((line, index) => void assert.match(lines[index] ?? "", line));
});

test("one that leads back to us is found, through either tier", async (t) => {
  const stack = await startStack(t);
  for (const base of Object.values(stack.tiers)) {
    const proxy = await startProxy(t, { media: () => base, homeserver: stack.homeserver.url });
    for (const csApi of [base, proxy]) {
      const { code, lines } = await probe(t, { "example.org": csApi });
      assert.equal(code, 1);
      assert.match(
        lines.join("\n"),
        /^c\.yaml:2: homeservers\[0\]\.csApi leads back to a media repository: GET [^\n]*$/,
      );
    }
  }
});
