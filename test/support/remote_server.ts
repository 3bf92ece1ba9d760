import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { importSeed, signJson, signRequest } from "../../origin/matrix/signing.ts";
import { generateSigningKey, writeSigningKeys } from "../../origin/matrix/signing_keys.ts";
import { frameMedia } from "../../shared/http/federation_answer.ts";
import { importPublicKey, type SigningKey } from "../../shared/matrix/signing.ts";
import { parseXMatrix, verifyRequest } from "../../shared/matrix/x_matrix.ts";
import { type Authority, makeAuthority } from "./certificates.ts";
import type { Lifetime } from "./lifetime.ts";
import { type Listener, listen } from "./listener.ts";

/** A media of a remote server. */
export interface RemoteFile {
  readonly bytes: Buffer;
  readonly type?: string;
  readonly disposition?: string;
}

/** A way to answer one request. */
export type Behaviour = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** Somebody else's Matrix server: real keys, real TLS, on a free port of loopback. */
export interface RemoteServer {
  /** Its server name, which leads to it without further discovery. */
  readonly name: string;
  readonly keyId: string;
  readonly publicKey: string;
  readonly listener: Listener;
  readonly media: Map<string, RemoteFile>;
  /** Public keys of the servers whose requests it accepts, by name. Empty: it asks nobody who they are. */
  readonly known: Map<string, string>;
  /** Answers the paths that begin like this instead. */
  readonly instead: Map<string, Behaviour>;
  /** What it says of its keys may be changed before it is signed. */
  keyAnswer: Record<string, unknown>;
  /** How often a path that begins like this was asked for. */
  asked(path: string): number;
  /** The `Authorization` header of a GET by this server. */
  sign(destination: string, uri: string, how?: Signing): Promise<string>;
  close(): Promise<void>;
}

/** A signing key of our own server, as its operator makes one. */
export interface OwnKey {
  readonly path: string;
  readonly keyId: string;
  readonly publicKey: string;
  /** A file of the configuration that gives it to a homeserver. */
  configure(serverName: string): { readonly name: string; readonly text: string };
}

/** Makes a signing key in a file. */
export async function makeOwnKey(lifetime: Lifetime): Promise<OwnKey> {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-key-"));
  lifetime.after(() => rm(folder, { recursive: true, force: true }));
  const key = generateSigningKey();
  const path = join(folder, "signing.key");
  await writeFile(path, writeSigningKeys([key], "mmr"));
  const { publicKey } = await importSeed(key.seed);
  const configure = (serverName: string) => ({
    name: `${serverName}.yaml`,
    text: `homeserver: "${serverName}"\nsigningKeyPath: "${path}"\n`,
  });
  return { path, keyId: key.keyId, publicKey, configure };
}

/** What a signature says other than the truth. `signed`: another target. */
export interface Signing {
  readonly keyId?: string;
  readonly method?: string;
  readonly signed?: string;
  readonly content?: unknown;
}

/** The certificates of all remote servers of a test, and how an origin comes to trust and to reach them. */
export interface RemoteWorld {
  readonly authority: Authority;
  /** `certificateFor`: another name than its own, as in `subjectAltName`. */
  start(how?: { readonly certificateFor?: string }): Promise<RemoteServer>;
}

/** The part of an origin's configuration that lets it reach remote servers on loopback. */
export const LOOPBACK_FEDERATION = "{ allowedNetworks: [127.0.0.0/8], disallowedNetworks: [], backoffAt: 1000000 }";

const WEEK_MS = 7 * 24 * 3_600_000;

/** Makes a world whose servers are closed with the test. */
export function makeRemoteWorld(lifetime: Lifetime): RemoteWorld {
  const authority = makeAuthority();
  lifetime.after(() => authority.close());
  const tls = authority.issue("IP:127.0.0.1");
  return {
    authority,
    async start({ certificateFor } = {}) {
      const remote = await startRemoteServer(certificateFor === undefined ? tls : authority.issue(certificateFor));
      lifetime.after(() => remote.close());
      return remote;
    },
  };
}

async function startRemoteServer(tls: ReturnType<Authority["issue"]>): Promise<RemoteServer> {
  const { privateKey, publicKey } = await importSeed(new Uint8Array(randomBytes(32)));
  const keyId = `ed25519:${randomBytes(3).toString("hex")}`;
  const listener = await listen((request, response) => void serve(request, response).catch(() => response.destroy()), {
    tls,
  });
  const name = `127.0.0.1:${listener.port}`;
  const remote: RemoteServer = {
    name,
    keyId,
    publicKey,
    listener,
    media: new Map(),
    known: new Map(),
    instead: new Map(),
    keyAnswer: {},
    asked: (path) => listener.asked.filter((line) => line.split(" ")[2]?.startsWith(path)).length,
    sign: (destination, uri, how = {}) =>
      signRequest(
        { method: how.method ?? "GET", uri: how.signed ?? uri, origin: name, destination, content: how.content },
        how.keyId ?? keyId,
        privateKey,
      ),
    close: () => listener.close(),
  };
  return remote;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    for (const [prefix, behaviour] of remote.instead) {
      if (path.startsWith(prefix)) return await behaviour(request, response);
    }
    if (path === "/_matrix/key/v2/server") return json(response, 200, await keys(privateKey));
    if (path === "/_matrix/federation/v1/version") return json(response, 200, { server: { name: "remote" } });
    const id = /^\/_matrix\/federation\/v1\/media\/download\/(.+)$/.exec(path)?.[1];
    if (id === undefined) return json(response, 404, { errcode: "M_UNRECOGNIZED", error: "?" });
    if (!(await isAuthentic(request))) return json(response, 401, { errcode: "M_UNAUTHORIZED", error: "Who?" });
    const file = remote.media.get(id);
    if (!file) return json(response, 404, { errcode: "M_NOT_FOUND", error: "No such media" });
    response.writeHead(200, { "content-type": "multipart/mixed; boundary=b0undary" }).end(envelope(file));
  }

  async function keys(key: SigningKey): Promise<Record<string, unknown>> {
    const answer = {
      server_name: name,
      valid_until_ts: Date.now() + WEEK_MS,
      verify_keys: { [keyId]: { key: publicKey } },
      old_verify_keys: {},
      ...remote.keyAnswer,
    };
    return await signJson(answer, name, keyId, key);
  }

  async function isAuthentic(request: IncomingMessage): Promise<boolean> {
    if (remote.known.size === 0) return true;
    const credentials = parseXMatrix(request.headers.authorization ?? "");
    const key = await importPublicKey(remote.known.get(credentials?.origin ?? "") ?? "");
    if (!credentials || !key) return false;
    const signed = { method: "GET", uri: request.url ?? "", origin: credentials.origin, destination: name };
    return await verifyRequest(signed, credentials, key);
  }
}

/** A media as a remote server sends it. */
export function envelope({ bytes, type, disposition }: RemoteFile, boundary = "b0undary"): Buffer {
  const { head, tail } = frameMedia(boundary, {
    contentType: type ?? "application/octet-stream",
    contentDisposition: disposition ?? "attachment",
  });
  return Buffer.concat([head, bytes, tail]);
}

/** Answers with JSON. */
export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
