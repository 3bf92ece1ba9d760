import { isServerName } from "../../shared/matrix/server_name.ts";
import { ConfigError, type ConfigProblem } from "./checks/config_error.ts";
import { clashingStores, domainBreaches, mainBreaches, throwProblems, twinNames } from "./checks/rules.ts";
import { findWarnings } from "./checks/warnings.ts";
import { assemble } from "./files/assemble.ts";
import {
  domainNames,
  domainRaw,
  type Layers,
  mainRaw,
  placeInDomain,
  placeInMain,
  type Remark,
  sortLayers,
} from "./files/layers.ts";
import { type ConfigText, readConfigFiles } from "./files/read_files.ts";
import { parseSourceFile, type Raw, type SourceFile } from "./files/source_file.ts";
import { type Config, domainSchema, type MainConfig, mainSchema, type ParsedDomain } from "./schema.ts";

/** A configuration that can be used, and what there is to say of it nevertheless. */
export interface LoadedConfig {
  readonly config: Config;
  /** Keys that are unknown, retired or without effect yet, and doubtful settings. Each is to be said once. */
  readonly warnings: readonly ConfigProblem[];
  /** Where in the files something stands that holds for this domain, with what is to be said of it. */
  placeOf(domain: string, remark: Remark): ConfigProblem;
}

/** What the command line has to say beside the files: data laid under and over that of the main files. */
export interface LoadOptions {
  readonly under?: Raw;
  readonly over?: Raw;
}

/**
 * Loads the configuration at a path: a file in matrix-media-repo's format, or a folder of them, read in the byte order of
 * their names. A file with `homeserver: <name>` at its top is for that homeserver only, and is merged deeply over the rest.
 *
 * Throws `ConfigError` with all that is wrong.
 */
export async function loadConfig(path: string, options: LoadOptions = {}): Promise<LoadedConfig> {
  const { texts, leftOut } = await readConfigFiles(path);
  const loaded = parseConfig(texts, options);
  return { ...loaded, warnings: [...leftOut.map(sayLeftOut), ...loaded.warnings] };
}

/** Does what {@link loadConfig} does with files that are read already. */
export function parseConfig(texts: readonly ConfigText[], options: LoadOptions = {}): LoadedConfig {
  const layers = sortLayers(parseFiles(texts));
  const raw = mainRaw(layers, options.under ?? {}, options.over ?? {});
  const names = domainNames(raw, layers);
  const main = parseMain(layers, raw, names);
  const domains = names.map((name) => parseDomain(layers, raw, name));
  const twins = twinNames(names).map(({ domain, remark }) => placeInDomain(layers, raw, domain, remark));
  throwProblems([...main.problems, ...domains.flatMap((domain) => domain.problems), ...twins]);
  const parsed = domains.flatMap(({ value }) => (value ? [value] : []));
  if (!main.value) throw new ConfigError(main.problems);
  throwProblems(clashes(layers, raw, main.value, parsed));
  return {
    config: assemble(main.value, parsed),
    warnings: findWarnings(layers, raw, main.value, parsed),
    placeOf: (domain, remark) => placeInDomain(layers, raw, domain, remark),
  };
}

function sayLeftOut(file: string): ConfigProblem {
  return { file, line: 0, key: "", message: "is left out: by its name it is an editor's backup" };
}

/** Reads all files, so that what is wrong in several of them is said at once. */
function parseFiles(texts: readonly ConfigText[]): SourceFile[] {
  const problems: ConfigProblem[] = [];
  const files = texts.flatMap(({ name, text }) => {
    try {
      return [parseSourceFile(name, text)];
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(...error.problems);
      return [];
    }
  });
  throwProblems(problems);
  return files;
}

interface Parsed<T> {
  readonly value: T | undefined;
  readonly problems: readonly ConfigProblem[];
}

function parseMain(layers: Layers, raw: Raw, names: readonly string[]): Parsed<MainConfig> {
  const result = mainSchema.safeParse(raw);
  const remarks: Remark[] = result.success ? mainBreaches(result.data) : [...result.error.issues];
  if (names.length === 0 && !remarks.some(({ path }) => path[0] === "homeservers")) {
    remarks.push({
      path: ["homeservers"],
      message: "lists no homeserver; name at least one with its name and csApi",
    });
  }
  return { value: result.data, problems: remarks.map((remark) => placeInMain(layers, remark)) };
}

function parseDomain(layers: Layers, main: Raw, name: string): Parsed<ParsedDomain> {
  const result = domainSchema.safeParse(domainRaw(main, layers, name));
  const remarks: Remark[] = result.success ? domainBreaches(result.data) : [...result.error.issues];
  if (layers.perDomain.has(name) && !isServerName(name)) {
    remarks.push({ path: ["name"], message: "must be a server name such as example.org" });
  }
  return { value: result.data, problems: remarks.map((remark) => placeInDomain(layers, main, name, remark)) };
}

function clashes(layers: Layers, raw: Raw, main: MainConfig, domains: readonly ParsedDomain[]): ConfigProblem[] {
  return clashingStores(main, domains).map(({ domain, remark }) => placeInDomain(layers, raw, domain, remark));
}
