import { ConfigError, type ConfigProblem } from "../config/checks/config_error.ts";
import { whyUnreadable } from "../config/files/unreadable.ts";
import type { LoadedConfig } from "../config/load.ts";
import { loadSigningIdentity } from "../matrix/signing_keys.ts";

/** Makes sure that the signing keys of a configuration can be used. Throws `ConfigError` with the place of each that cannot. */
export async function demandKeys<T extends LoadedConfig>(loaded: T): Promise<T> {
  const checks = [...loaded.config.domains.values()].map(({ name, signingKeyPath }) =>
    signingKeyPath === "" ? undefined : findTrouble(loaded, name, signingKeyPath),
  );
  const problems = (await Promise.all(checks)).filter((one) => one !== undefined);
  if (problems.length > 0) throw new ConfigError(problems);
  return loaded;
}

async function findTrouble(loaded: LoadedConfig, domain: string, file: string): Promise<ConfigProblem | undefined> {
  try {
    await loadSigningIdentity(file, domain);
    return undefined;
  } catch (error) {
    const message = `names a key that cannot be used: ${whyUnreadable(error)}`;
    return loaded.placeOf(domain, { path: ["signingKeyPath"], message });
  }
}
