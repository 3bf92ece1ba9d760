import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type SigningKeySeed, writeSigningKeys } from "../../origin/matrix/signing_keys.ts";
import type { Certificate } from "./certificates.ts";

/** What a test may say of its Synapse. */
export interface SynapseOptions {
  /** Default `synapse.example.org`. */
  readonly serverName?: string;
  /** More settings of `homeserver.yaml`, over those of this file. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** A second listener, with TLS, for other servers; and the certificate authority (PEM) by which it believes them. */
  readonly tls?: Certificate & { readonly port: number; readonly ca: string };
}

/** What {@link startSynapse} adds. */
export interface SynapseConfig extends SynapseOptions {
  readonly serverName: string;
  /** Where it answers clients, on loopback. */
  readonly port: number;
  /** With which new users are registered. */
  readonly secret: string;
  readonly signingKey: SigningKeySeed;
}

/** The application service that every Synapse of these tests has. */
export const BRIDGE = { token: "token_of_the_bridge", localpart: "bridge", prefix: "bridged_" } as const;

const REGISTRATION = {
  id: "bridge",
  url: null,
  as_token: BRIDGE.token,
  hs_token: "token_of_the_homeserver",
  sender_localpart: BRIDGE.localpart,
  rate_limited: false,
  namespaces: { users: [{ exclusive: true, regex: `@${BRIDGE.prefix}.*` }], aliases: [], rooms: [] },
};

const LOG = {
  version: 1,
  disable_existing_loggers: false,
  handlers: { console: { class: "logging.StreamHandler" } },
  root: { level: "WARNING", handlers: ["console"] },
};

/** Writes `homeserver.yaml` and what it refers to. YAML is written as JSON, of which it is a superset. */
export async function writeSynapseConfig(folder: string, config: SynapseConfig): Promise<void> {
  const settings = { ...baseSettings(folder, config), ...listenersOf(folder, config), ...config.settings };
  const files: Record<string, string> = {
    "homeserver.yaml": JSON.stringify(settings),
    "bridge.yaml": JSON.stringify(REGISTRATION),
    "log.yaml": JSON.stringify(LOG),
    "signing.key": writeSigningKeys([config.signingKey], "synapse"),
    ...(config.tls && { "tls.crt": config.tls.cert, "tls.key": config.tls.key, "ca.crt": config.tls.ca }),
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
}

function baseSettings(folder: string, { serverName, secret }: SynapseConfig): Record<string, unknown> {
  const unlimited = { per_second: 10_000, burst_count: 10_000 };
  return {
    server_name: serverName,
    report_stats: false,
    database: { name: "sqlite3", args: { database: join(folder, "homeserver.db") } },
    log_config: join(folder, "log.yaml"),
    media_store_path: join(folder, "media"),
    signing_key_path: join(folder, "signing.key"),
    macaroon_secret_key: randomBytes(16).toString("hex"),
    form_secret: randomBytes(16).toString("hex"),
    registration_shared_secret: secret,
    enable_registration: true,
    enable_registration_without_verification: true,
    allow_guest_access: true,
    bcrypt_rounds: 4,
    app_service_config_files: [join(folder, "bridge.yaml")],
    trusted_key_servers: [],
    url_preview_enabled: false,
    rc_message: unlimited,
    rc_registration: unlimited,
    rc_login: { address: unlimited, account: unlimited, failed_attempts: unlimited },
    rc_joins: { local: unlimited, remote: unlimited },
    rc_media_create: unlimited,
    // Its whitelist is not asked about addresses that stand in server names.
    ip_range_blacklist: [],
  };
}

function listenersOf(folder: string, { port, tls }: SynapseConfig): Record<string, unknown> {
  const common = { type: "http", bind_addresses: ["127.0.0.1"], resources: [{ names: ["client", "federation"] }] };
  if (!tls) return { listeners: [{ ...common, port }] };
  return {
    listeners: [
      { ...common, port },
      { ...common, port: tls.port, tls: true },
    ],
    tls_certificate_path: join(folder, "tls.crt"),
    tls_private_key_path: join(folder, "tls.key"),
    federation_custom_ca_list: [join(folder, "ca.crt")],
  };
}
