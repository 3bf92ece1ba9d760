import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { importSeed, signJson } from "../../origin/matrix/signing.ts";
import { generateSigningKey, type SigningKeySeed, writeSigningKeys } from "../../origin/matrix/signing_keys.ts";
import { startStack, type TestStack } from "../support/app.ts";
import type { Authority } from "../support/certificates.ts";
import { startHomeserver } from "../support/homeserver.ts";
import type { Lifetime } from "../support/lifetime.ts";
import { startProxy } from "./reverse_proxy.ts";

/** A whole server of the federation whose media is ours; its homeserver is a double, and only publishes the key. */
export interface OurServer {
  /** An address with a port: no discovery is needed. */
  readonly serverName: string;
  readonly stack: TestStack;
  /** The tier to which its reverse proxy sends what other servers ask. */
  tier: "origin" | "edge";
}

/** The token of the one user that {@link startOurServer} makes. */
export const OUR_USER = "token_of_our_user";

const KEY_MS = 24 * 60 * 60 * 1000;

/** Starts it at `127.0.0.1:port`, with TLS. */
export async function startOurServer(lifetime: Lifetime, authority: Authority, port: number): Promise<OurServer> {
  const serverName = `127.0.0.1:${port}`;
  const key = generateSigningKey();
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-key-"));
  lifetime.after(() => rm(folder, { recursive: true, force: true }));
  const signingKeyPath = join(folder, "signing.key");
  await writeFile(signingKeyPath, writeSigningKeys([key], "mmr"));
  const homeserver = await startHomeserver({ [OUR_USER]: { user_id: `@user:${serverName}`, device_id: "OURS" } });
  lifetime.after(() => homeserver.close());
  const stack = await startStack(lifetime, {
    homeservers: { [serverName]: { csApi: homeserver.url, signingKeyPath } },
    yaml: "federation: { allowedNetworks: [127.0.0.0/8], disallowedNetworks: [] }\n",
  });
  const ours: OurServer = { serverName, stack, tier: "edge" };
  const tls = authority.issue("IP:127.0.0.1");
  await startProxy(lifetime, {
    media: () => stack.tiers[ours.tier],
    homeserver: await publishKey(serverName, key),
    tls,
    port,
  });
  return ours;
}

/** `GET /_matrix/key/v2/server` (Server-Server API, "Publishing keys"). */
async function publishKey(serverName: string, { keyId, seed }: SigningKeySeed): Promise<RequestListener> {
  const { privateKey, publicKey } = await importSeed(seed);
  const document = {
    server_name: serverName,
    valid_until_ts: Date.now() + KEY_MS,
    verify_keys: { [keyId]: { key: publicKey } },
    old_verify_keys: {},
  };
  const signed = JSON.stringify(await signJson(document, serverName, keyId, privateKey));
  return (request, response) => {
    const known = request.url?.split("?", 1)[0] === "/_matrix/key/v2/server";
    response.writeHead(known ? 200 : 404, { "content-type": "application/json" });
    response.end(known ? signed : '{"errcode":"M_UNRECOGNIZED","error":"Unrecognized request"}');
  };
}
