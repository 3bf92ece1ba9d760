import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { descendants } from "../../operations/launch/spawn_cli.ts";
import { freePort } from "../../support/free_port.ts";
import { startHomeserver } from "../../support/homeserver.ts";
import { until } from "../../support/until.ts";
import { endChild, type Server } from "./children.ts";
import { TOKEN } from "./origin.ts";

const CLI = fileURLToPath(new URL("../../../origin/cli.ts", import.meta.url));
/** The processes that run an edge, by what their commands hold. */
const KEEPERS = ["edge_process.ts", "wrangler_supervisor.ts"];

/** Starts both tiers as `npm start` does, on the embedded database: their edge, with all that it is of. */
export async function startLocalEdge(args: readonly string[]): Promise<Server> {
  const homeserver = await startHomeserver({ [TOKEN]: { user_id: "@user:example.org" } });
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-bench-"));
  await writeFile(
    join(folder, "c.yaml"),
    `homeservers: [{ name: example.org, csApi: "${homeserver.url}" }]
uploads: { maxBytes: 0 }
rateLimit: { enabled: false }
accessTokens: { maxCacheTimeSeconds: 3600 }
datastores: [{ id: files, type: file, forKinds: [all], opts: { path: "${folder}/media" } }]
`,
  );
  const ports = ["--port", String(await freePort()), "--edge-port", String(await freePort())];
  const options = ["--config", "c.yaml", "--data", folder, ...ports, ...args];
  const child = spawn(process.execPath, [CLI, "start", ...options], { cwd: folder, stdio: "ignore" });
  const facts = await until(
    () => readFile(join(folder, "dev.json"), "utf8").catch(() => undefined),
    "it does not start",
  );
  const pids = descendants(child.pid ?? 0);
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return {
    url: (JSON.parse(facts) as { edge: string }).edge,
    pid: pids.find((_, index) => KEEPERS.some((name) => lines[index]?.includes(name))) ?? 0,
    async close() {
      await endChild(child);
      await homeserver.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
