import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../config/checks/config_error.ts";
import { fingerprint } from "../config/fingerprint.ts";
import { type LoadedConfig, type LoadOptions, loadConfig } from "../config/load.ts";
import { type DevSecrets, devConfig, keepDevSecrets } from "./dev/dev_config.ts";
import { demandFolder } from "./trouble/preflight.ts";

/** What the command line says of where the configuration comes from. */
export interface LaunchOptions {
  /** `--config`. */
  readonly config?: string | undefined;
  /** The environment's REPO_CONFIG; goes before `--config`, as in matrix-media-repo. */
  readonly repoConfig?: string | undefined;
  /** The folder for what is kept where the configuration names nothing else. */
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
  /** The file or folder it was read from; `undefined`: there is none, and the built-in one holds. */
  readonly path: string | undefined;
  /** What the files held, as `fingerprint` has it; empty without any. */
  readonly known: string;
  readonly reload: () => Promise<LoadedConfig>;
}

const DEFAULT_PATH = "media-repo.yaml";

/**
 * Finds and loads the configuration: REPO_CONFIG, `--config`, `media-repo.yaml` where the process runs, or else the
 * built-in one. Throws `ConfigError`, and `LaunchError` for a folder `data` that is needed and cannot be written to.
 */
export async function loadSettings(options: LaunchOptions, makeSecret: () => string): Promise<Settings> {
  const path = findConfig(options);
  const localEdge = options.localEdge || path === undefined;
  if (localEdge) await demandFolder(options.data);
  const secrets = localEdge ? await keepDevSecrets(options.data, makeSecret) : undefined;
  const layers = layersOf({ ...options, localEdge }, secrets);
  const load = async (): Promise<LoadedConfig> => {
    if (path !== undefined) return withoutExpected(await loadConfig(path, layers), localEdge);
    if (!secrets) throw new ConfigError([]);
    return devConfig(options.data, secrets, layers);
  };
  const known = path === undefined ? "" : await fingerprint(path);
  return { ...(await load()), path, known, reload: load };
}

/** Where the configuration is; `undefined`: there is none. */
export function findConfig({ repoConfig, config }: Pick<LaunchOptions, "repoConfig" | "config">): string | undefined {
  return repoConfig || config || (existsSync(DEFAULT_PATH) ? DEFAULT_PATH : undefined);
}

function layersOf(options: LaunchOptions, secrets: DevSecrets | undefined): LoadOptions {
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

/** That the bucket is the local one goes without saying where both tiers are local. */
function withoutExpected(loaded: LoadedConfig, localEdge: boolean): LoadedConfig {
  if (!localEdge) return loaded;
  return { ...loaded, warnings: loaded.warnings.filter(({ key }) => key !== "edge.bucket") };
}
