import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free_port.ts";
import type { Lifetime } from "./lifetime.ts";
import { until } from "./until.ts";

/** Real reverse proxies with the configuration that `docs/reverse-proxy.md` gives to operators, word for word. */

/** A reverse proxy that the page has a recipe for, and that can be installed here. */
export type ProxyName = "nginx" | "caddy";

const PAGE = new URL("../../docs/reverse-proxy.md", import.meta.url);
/** What the recipes call the origin. */
const ORIGIN_IN_RECIPES = "127.0.0.1:8000";
const VERSION_FLAG: Readonly<Record<ProxyName, string>> = { nginx: "-v", caddy: "version" };

/**
 * Why tests with this proxy cannot run, or false: it must be installed. Where `MXCDN_TEST_SERVICES=required` its absence is an
 * error.
 */
export function proxySkip(name: ProxyName): string | false {
  if (!spawnSync(name, [VERSION_FLAG[name]]).error) return false;
  const reason = `${name} is not installed (Debian: apt-get install ${name === "nginx" ? "nginx-light" : name})`;
  if (process.env.MXCDN_TEST_SERVICES === "required") throw new Error(`MXCDN_TEST_SERVICES=required, but ${reason}`);
  return reason;
}

/** Starts a proxy before the origin at this address, on a free port of loopback. It is ended with `lifetime`. */
export async function startReverseProxy(lifetime: Lifetime, name: ProxyName, originUrl: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `mxcdn-${name}-`));
  const port = await freePort();
  const recipe = (await recipeFor(name)).replace(ORIGIN_IN_RECIPES, new URL(originUrl).host);
  const child = name === "nginx" ? await spawnNginx(folder, port, recipe) : await spawnCaddy(folder, port, recipe);
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    said = `${said}${chunk}`.slice(-10_000);
  });
  lifetime.after(async () => {
    await ended(child);
    await rm(folder, { recursive: true, force: true });
  });
  await until(() => {
    if (child.exitCode !== null) throw new Error(`${name} has ended: ${said}`);
    return accepts(port);
  }, `${name} takes no connections: ${said}`);
  return `http://127.0.0.1:${port}`;
}

/** The first block of the page in this language. */
async function recipeFor(name: ProxyName): Promise<string> {
  const page = await readFile(PAGE, "utf8");
  const recipe = new RegExp(`^\`\`\`${name}\\n([\\s\\S]*?)^\`\`\`$`, "m").exec(page)?.[1];
  if (!recipe?.includes(ORIGIN_IN_RECIPES)) {
    throw new Error(`docs/reverse-proxy.md has no recipe for ${name} that leads to ${ORIGIN_IN_RECIPES}`);
  }
  return recipe;
}

async function spawnNginx(folder: string, port: number, recipe: string): Promise<ChildProcess> {
  const config = `
daemon off; worker_processes 1; pid ${folder}/pid; error_log stderr warn;${process.getuid?.() === 0 ? " user root;" : ""}
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port};
${recipe}
  }
}`;
  await writeFile(join(folder, "nginx.conf"), config);
  return spawn("nginx", ["-e", "stderr", "-p", folder, "-c", "nginx.conf"], { stdio: ["ignore", "ignore", "pipe"] });
}

/** The site of the recipe has a certificate; here it is a plain port. */
async function spawnCaddy(folder: string, port: number, recipe: string): Promise<ChildProcess> {
  const site = recipe.replace(/^\S+ \{$/m, `http://:${port} {\n\tbind 127.0.0.1`);
  await writeFile(join(folder, "Caddyfile"), `{\n\tadmin off\n\tauto_https off\n}\n${site}`);
  const env = { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
  const args = ["run", "--adapter", "caddyfile", "--config", join(folder, "Caddyfile")];
  return spawn("caddy", args, { env, stdio: ["ignore", "ignore", "pipe"] });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, "127.0.0.1");
    probe.once("connect", () => resolve(true)).once("error", () => resolve(false));
    probe.once("connect", () => probe.destroy());
  });
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGTERM");
  });
}
