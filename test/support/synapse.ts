import { type ChildProcess, spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { generateSigningKey, type SigningKeySeed } from "../../origin/matrix/signing_keys.ts";
import { freePort } from "./free_port.ts";
import type { Lifetime } from "./lifetime.ts";
import { BRIDGE, type SynapseOptions, writeSynapseConfig } from "./synapse_config.ts";
import type { SynapseInstallation } from "./synapse_venv.ts";

/** Somebody who is logged in. */
export interface Session {
  readonly userId: string;
  readonly deviceId: string;
  readonly token: string;
  readonly password: string;
}

/** What Synapse answered: its status and its JSON. */
export interface Told {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** A homeserver of Element's making, on loopback, with a new database. */
export interface Synapse {
  /** Its client API, without a slash at the end. */
  readonly url: string;
  readonly serverName: string;
  /** The key with which it signs what it asks of other servers. */
  readonly signingKey: SigningKeySeed;
  /** An administrator of it. */
  readonly admin: Session;
  /** An application service: its token, its own user, and the users that it may be (`@bridged_…`). */
  readonly bridge: { readonly token: string; readonly userId: string; readonly prefix: string };
  /** Asks its API as somebody. */
  call(method: string, path: string, token?: string, body?: unknown): Promise<Told>;
  /** Registers a new user and logs it in. */
  register(options?: { admin?: boolean }): Promise<Session>;
  /** Logs a user in once more. */
  login(user: Session): Promise<Session>;
  /** Registers a new guest. */
  guest(): Promise<Session>;
}

const START_MS = 90_000;
const STOP_MS = 10_000;
const ASK_MS = 20_000;
const POLL_MS = 100;
const KEPT_OUTPUT = 8_000;

/** Starts Synapse on free ports of loopback, with SQLite in a temporary folder. It is ended, and the folder removed, with `lifetime`. */
export async function startSynapse(
  lifetime: Lifetime,
  { python }: SynapseInstallation,
  options: SynapseOptions = {},
): Promise<Synapse> {
  const serverName = options.serverName ?? "synapse.example.org";
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-synapse-"));
  lifetime.after(() => rm(folder, { recursive: true, force: true }));
  const port = await freePort();
  const secret = randomBytes(16).toString("hex");
  const signingKey = generateSigningKey();
  await writeSynapseConfig(folder, { ...options, serverName, port, secret, signingKey });
  const url = `http://127.0.0.1:${port}`;
  await untilHealthy(url, launch(lifetime, python, folder));
  return { ...(await makeSynapse(url, serverName, secret)), signingKey };
}

async function makeSynapse(url: string, serverName: string, secret: string): Promise<Omit<Synapse, "signingKey">> {
  const call: Synapse["call"] = async (method, path, token, body) => {
    const answer = await fetch(url + path, {
      method,
      headers: { "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(ASK_MS),
    });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };
  const demand = async (...args: Parameters<typeof call>) => {
    const { status, body } = await call(...args);
    if (status !== 200) throw new Error(`Synapse answered ${args[1]} with ${status}: ${JSON.stringify(body)}`);
    return body;
  };
  async function register({ admin = false } = {}): Promise<Session> {
    const path = "/_synapse/admin/v1/register";
    const { nonce } = await demand("GET", path);
    const username = `u${randomBytes(5).toString("hex")}`;
    const password = randomBytes(12).toString("hex");
    const text = [nonce, username, password, admin ? "admin" : "notadmin"].join("\0");
    const mac = createHmac("sha1", secret).update(text).digest("hex");
    return sessionOf(await demand("POST", path, undefined, { nonce, username, password, admin, mac }), password);
  }
  return {
    url,
    serverName,
    call,
    register,
    bridge: { ...BRIDGE, userId: `@${BRIDGE.localpart}:${serverName}` },
    admin: await register({ admin: true }),
    async login({ userId, password }) {
      const asking = { type: "m.login.password", identifier: { type: "m.id.user", user: userId }, password };
      return sessionOf(await demand("POST", "/_matrix/client/v3/login", undefined, asking), password);
    },
    async guest() {
      return sessionOf(await demand("POST", "/_matrix/client/v3/register?kind=guest", undefined, {}), "");
    },
  };
}

function sessionOf(body: Record<string, unknown>, password: string): Session {
  const { user_id: userId, device_id: deviceId, access_token: token } = body as Record<string, string>;
  return { userId: String(userId), deviceId: String(deviceId), token: String(token), password };
}

interface Running {
  readonly process: ChildProcess;
  /** The last that it printed. */
  printed: string;
}

function launch(lifetime: Lifetime, python: string, folder: string): Running {
  const server = spawn(python, ["-m", "synapse.app.homeserver", "-c", join(folder, "homeserver.yaml")], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const running = { process: server, printed: "" };
  for (const stream of [server.stdout, server.stderr]) {
    stream.on("data", (chunk) => {
      running.printed = (running.printed + chunk).slice(-KEPT_OUTPUT);
    });
  }
  // A test that is ended in the middle leaves nothing behind.
  const orphaned = () => server.kill("SIGKILL");
  process.once("exit", orphaned);
  lifetime.after(async () => {
    await end(server);
    process.off("exit", orphaned);
  });
  return running;
}

async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = once(server, "exit");
  server.kill("SIGTERM");
  const last = setTimeout(() => server.kill("SIGKILL"), STOP_MS);
  await ended;
  clearTimeout(last);
}

async function untilHealthy(url: string, running: Running): Promise<void> {
  const deadline = AbortSignal.timeout(START_MS);
  for (;;) {
    if (running.process.exitCode !== null) throw new Error(`Synapse has ended: ${running.printed}`);
    if (deadline.aborted) throw new Error(`Synapse did not start within ${START_MS} ms: ${running.printed}`);
    const answer = await fetch(`${url}/health`, { signal: deadline }).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok) return;
    await wait(POLL_MS);
  }
}
