import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, type ConfigProblem } from "../config/checks/config_error.ts";
import { whyUnreadable } from "../config/files/unreadable.ts";
import { fingerprint } from "../config/fingerprint.ts";
import { type LoadedConfig, type LoadOptions, loadConfig } from "../config/load.ts";
import { loadSigningIdentity } from "../matrix/signing_keys.ts";
import { type DevSecrets, devConfig, keepDevSecrets } from "./dev/dev_config.ts";
import { requireFolder } from "./trouble/preflight.ts";

/** Where a command takes its configuration from, and the first checks of it. */

/** The options of the command line that choose and change the configuration. */
export interface SettingsOptions {
  /** `--config`. */
  readonly config?: string | undefined;
  /** The environment's REPO_CONFIG; goes before `--config`, as in matrix-media-repo. */
  readonly repoConfig?: string | undefined;
  /** The folder for data of which the configuration does not name the place. */
  readonly data: string;
  /** The origin's port, instead of the configured one. */
  readonly port?: number | undefined;
  /** The local edge's port, instead of the configured one. */
  readonly edgePort?: number | undefined;
  /** There is an edge on this machine (`npm start`): it is switched on, and shares a secret kept in `data`. */
  readonly localEdge: boolean;
}

/** A configuration, and how to read it again. */
export interface Settings extends LoadedConfig {
  /** The file or folder it was read from; `undefined` for the built-in configuration. */
  readonly path: string | undefined;
  /** The `fingerprint` of the files; empty without any. */
  readonly known: string;
  readonly reload: () => Promise<LoadedConfig>;
}

const DEFAULT_PATH = "media-repo.yaml";

/**
 * Finds and loads the configuration: REPO_CONFIG, `--config`, `media-repo.yaml` where the process runs, or else the
 * built-in one. Throws `ConfigError`, and `CommandError` for a folder `data` that is needed and cannot be written to.
 */
export async function loadSettings(options: SettingsOptions): Promise<Settings> {
  const path = findConfig(options);
  const localEdge = options.localEdge || path === undefined;
  if (localEdge) await requireFolder(options.data);
  const secrets = localEdge ? await keepDevSecrets(options.data) : undefined;
  const layers = layersOf({ ...options, localEdge }, secrets);
  const load = async (): Promise<LoadedConfig> => {
    if (path !== undefined) return withoutExpected(await loadConfig(path, layers), localEdge);
    if (!secrets) throw new ConfigError([]);
    return devConfig(options.data, secrets, layers);
  };
  const known = path === undefined ? "" : await fingerprint(path);
  return { ...(await load()), path, known, reload: load };
}

/** The path of the configuration; `undefined` without one. */
export function findConfig({ repoConfig, config }: Pick<SettingsOptions, "repoConfig" | "config">): string | undefined {
  return repoConfig || config || (existsSync(DEFAULT_PATH) ? DEFAULT_PATH : undefined);
}

/**
 * The arguments with which another process of an origin finds the same configuration, `--workers` left out. It reads the files
 * by itself, so that no secret passes from process to process.
 */
export function originArguments({ config, repoConfig, data, port, edgePort, localEdge }: SettingsOptions): string[] {
  const path = repoConfig || config;
  return [
    ...(path === undefined ? [] : ["--config", path]),
    ...["--data", data],
    ...(port === undefined ? [] : ["--port", String(port)]),
    ...(edgePort === undefined ? [] : ["--edge-port", String(edgePort)]),
    ...(localEdge ? ["--local-edge"] : []),
  ];
}

function layersOf(options: SettingsOptions, secrets: DevSecrets | undefined): LoadOptions {
  const { port, edgePort, localEdge } = options;
  const edge = {
    ...(localEdge ? { enabled: true } : {}),
    ...(edgePort === undefined ? {} : { localPort: edgePort }),
  };
  return {
    under: {
      database: { folder: join(options.data, "db") },
      ...(secrets ? { edge: { hopSecret: secrets.hopSecret } } : {}),
    },
    over: { ...(port === undefined ? {} : { repo: { port } }), ...(Object.keys(edge).length > 0 ? { edge } : {}) },
  };
}

/** Leaves out the warning that the bucket is the local one: with a local edge that is intended. */
function withoutExpected(loaded: LoadedConfig, localEdge: boolean): LoadedConfig {
  if (!localEdge) return loaded;
  return { ...loaded, warnings: loaded.warnings.filter(({ key }) => key !== "edge.bucket") };
}

/** Makes sure that the signing keys of a configuration can be used. Throws `ConfigError` with the place of each that cannot. */
export async function requireKeys<T extends LoadedConfig>(loaded: T): Promise<T> {
  const checks = [...loaded.config.domains.values()].map(({ name, signingKeyPath }) =>
    signingKeyPath === "" ? undefined : findKeyProblem(loaded, name, signingKeyPath),
  );
  const problems = (await Promise.all(checks)).filter((one) => one !== undefined);
  if (problems.length > 0) throw new ConfigError(problems);
  return loaded;
}

async function findKeyProblem(loaded: LoadedConfig, domain: string, file: string): Promise<ConfigProblem | undefined> {
  try {
    await loadSigningIdentity(file, domain);
    return undefined;
  } catch (error) {
    const message = `names a key that cannot be used: ${whyUnreadable(error)}`;
    return loaded.placeOf(domain, { path: ["signingKeyPath"], message });
  }
}
