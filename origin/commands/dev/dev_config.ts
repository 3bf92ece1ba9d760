import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "../../config/checks/config_error.ts";
import { type LoadedConfig, type LoadOptions, parseConfig } from "../../config/load.ts";
import { MIN_SECRET_LENGTH } from "../../config/sections/edge.ts";

/** The built-in configuration for a machine that has none, and the secrets that it keeps. */

/** The secrets of an installation without a configuration. */
export interface DevSecrets {
  /** The application service's token: its sender is `@dev:localhost`, or the user of `localhost` that `user_id` names. */
  readonly token: string;
  /** What both tiers sign their hop with. */
  readonly hopSecret: string;
}

/** The server name of an installation without a configuration. */
export const DEV_SERVER_NAME = "localhost";

/**
 * Reads the secrets kept in a folder (`secrets.json`, readable by its owner only), or makes them there. Throws
 * `ConfigError` where the file holds something else.
 */
export async function keepDevSecrets(folder: string): Promise<DevSecrets> {
  const file = join(folder, "secrets.json");
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text !== undefined) return readSecrets(file, text);
  const secrets: DevSecrets = { token: makeSecret(), hopSecret: makeSecret() };
  await mkdir(folder, { recursive: true });
  await writeFile(`${file}.new`, `${JSON.stringify(secrets, undefined, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
  return secrets;
}

/** 256 bits at random, in 43 characters that need no quoting anywhere. */
function makeSecret(): string {
  return randomBytes(32).toString("base64url");
}

function readSecrets(file: string, text: string): DevSecrets {
  try {
    const { token, hopSecret } = JSON.parse(text) as Record<string, unknown>;
    if (isSecret(token) && isSecret(hopSecret)) return { token, hopSecret };
  } catch {
    // Falls through to the one message for both.
  }
  throw new ConfigError([{ file, line: 0, key: "", message: "is damaged; remove it, and a new one is made" }]);
}

function isSecret(value: unknown): value is string {
  return typeof value === "string" && value.length >= MIN_SECRET_LENGTH;
}

/**
 * The configuration that holds where there is none: the homeserver `localhost` with one application service, and
 * everything kept in a folder.
 */
export function devConfig(folder: string, secrets: DevSecrets, options: LoadOptions = {}): LoadedConfig {
  const everyUser = `^@.+:${DEV_SERVER_NAME}$`;
  const raw = {
    repo: { logLevel: "warn" },
    homeservers: [{ name: DEV_SERVER_NAME, csApi: "http://127.0.0.1:8008" }],
    admins: [`@dev:${DEV_SERVER_NAME}`],
    database: { folder: join(folder, "db") },
    datastores: [{ id: "local", type: "file", forKinds: ["all"], opts: { path: join(folder, "media") } }],
    thumbnails: {
      types: ["image/jpeg", "image/jpg", "image/png", "image/apng", "image/gif", "image/webp", "image/avif"],
    },
    accessTokens: {
      maxCacheTimeSeconds: 43_200,
      useLocalAppserviceConfig: true,
      appservices: [
        {
          id: "dev",
          asToken: secrets.token,
          senderUserId: `@dev:${DEV_SERVER_NAME}`,
          userNamespaces: [{ regex: everyUser }],
          rateLimited: false,
        },
      ],
    },
    edge: { enabled: true, hopSecret: secrets.hopSecret },
  };
  const loaded = parseConfig([{ name: "(no configuration file)", text: JSON.stringify(raw) }], options);
  return { ...loaded, warnings: [] };
}
