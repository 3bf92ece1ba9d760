import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startHomeserver } from "../../support/homeserver.ts";
import { type Server, startScript } from "./children.ts";

const MAIN = fileURLToPath(new URL("../../../origin/main.ts", import.meta.url));

/** The token that an origin of the bench accepts. */
export const TOKEN = "token";
export const AUTHORIZATION = { authorization: `Bearer ${TOKEN}` };

/** What a bench may say of its origin. */
export interface BenchOriginOptions {
  /** A database; the embedded one without it. */
  readonly postgres?: string | undefined;
  /** More sections of the configuration. */
  readonly yaml?: string;
  readonly nodeArgs?: readonly string[];
}

/** Starts an origin as an operator does, with a homeserver that knows {@link TOKEN}, and no limits that would end the load. */
export async function startBenchOrigin(options: BenchOriginOptions = {}): Promise<Server> {
  const homeserver = await startHomeserver({ [TOKEN]: { user_id: "@user:example.org" } });
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-bench-"));
  const file = join(folder, "media-repo.yaml");
  const database = options.postgres === undefined ? `folder: "${folder}/db"` : `postgres: "${options.postgres}"`;
  await writeFile(
    file,
    `homeservers: [{ name: example.org, csApi: "${homeserver.url}" }]
repo: { port: 0 }
database: { ${database} }
uploads: { maxBytes: 0 }
rateLimit: { enabled: false }
accessTokens: { maxCacheTimeSeconds: 3600 }
datastores: [{ id: files, type: file, forKinds: [all], opts: { path: "${folder}/media" } }]
${options.yaml ?? ""}
`,
  );
  const server = await startScript(MAIN, ["--config", file], options.nodeArgs);
  return {
    ...server,
    async close() {
      await server.close();
      await homeserver.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
