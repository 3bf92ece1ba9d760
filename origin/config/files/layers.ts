import { type ConfigProblem, formatKey } from "../checks/config_error.ts";
import { DOMAIN_SECTIONS, HOMESERVER_KEYS } from "../schema.ts";
import { isMapping, mergeDeep } from "./merge.ts";
import type { Raw, SourceFile } from "./source_file.ts";

/** The files of a configuration, in reading order: the main ones, and those for one homeserver each. */
export interface Layers {
  readonly main: readonly SourceFile[];
  readonly perDomain: ReadonlyMap<string, readonly SourceFile[]>;
}

/** A path into the configuration with what is to be said of it. */
export interface Remark {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

const DEFAULT_STORE = { id: "local", type: "file", forKinds: ["all"], opts: { path: "./data/media" } };

/** Sorts files into main and per-domain ones. */
export function sortLayers(files: readonly SourceFile[]): Layers {
  const perDomain = new Map<string, SourceFile[]>();
  for (const file of files) {
    if (file.homeserver !== undefined) {
      perDomain.set(file.homeserver, [...(perDomain.get(file.homeserver) ?? []), file]);
    }
  }
  return { main: files.filter((file) => file.homeserver === undefined), perDomain };
}

/**
 * The main sections as data. Of a section that several main files hold, the last file's counts alone, as in
 * matrix-media-repo; `under` lies below all files and `over` above, both merged deeply.
 */
export function mainRaw({ main }: Layers, under: Raw, over: Raw): Raw {
  const files: Raw = Object.assign({}, ...main.map((file) => file.value));
  const merged = mergeDeep(mergeDeep(under, files), over);
  const oldRedis = isMapping(merged.featureSupport) ? merged.featureSupport.redis : undefined;
  return {
    datastores: [DEFAULT_STORE],
    ...(isMapping(oldRedis) ? { redis: oldRedis } : {}),
    ...merged,
  };
}

/** What holds for a domain as data: the main sections, its entry in `homeservers`, its own files over both. */
export function domainRaw(main: Raw, layers: Layers, name: string): Raw {
  const entry = entriesOf(main).find((one) => one.name === name) ?? {};
  const base = { ...pick(main, DOMAIN_SECTIONS), ...pick(entry, HOMESERVER_KEYS), name };
  const own = layers.perDomain.get(name) ?? [];
  return own.reduce<Raw>(
    (raw, file) => mergeDeep(raw, pick(file.value, [...DOMAIN_SECTIONS, ...HOMESERVER_KEYS])),
    base,
  );
}

/** The names of all domains: those of `homeservers`, then those that only per-domain files name. */
export function domainNames(main: Raw, layers: Layers): string[] {
  const listed = entriesOf(main).flatMap((entry) => (typeof entry.name === "string" ? [entry.name] : []));
  return [...new Set([...listed.filter((name) => name !== ""), ...layers.perDomain.keys()])];
}

/** Says where in the main files something stands; of a missing key, where it belongs. */
export function placeInMain({ main }: Layers, { path, message }: Remark): ConfigProblem {
  const holders = main.filter((file) => file.locate(path.slice(0, 1)).depth > 0);
  const file = holders.at(-1) ?? main.at(0);
  return { file: file?.name ?? "", line: file?.locate(path).line ?? 1, key: formatKey(path), message };
}

/**
 * The same for what holds for a domain: in its own file where that has a say, else in the main ones. The path `name` is its
 * server name, wherever that stands.
 */
export function placeInDomain(layers: Layers, main: Raw, name: string, remark: Remark): ConfigProblem {
  if (remark.path[0] === "name") return placeOfName(layers, main, name, remark.message);
  const own = (layers.perDomain.get(name) ?? []).map((file) => ({ file, found: file.locate(remark.path) }));
  const best = own.reduce<(typeof own)[number] | undefined>(
    (before, one) => (one.found.depth > 0 && one.found.depth >= (before?.found.depth ?? 0) ? one : before),
    undefined,
  );
  if (best)
    return { file: best.file.name, line: best.found.line, key: formatKey(remark.path), message: remark.message };
  const entry = entriesOf(main).findIndex((one) => one.name === name);
  const ofEntry = HOMESERVER_KEYS.some((key) => key === remark.path[0]);
  const only = own.at(-1);
  if (ofEntry && entry < 0 && only) {
    return { file: only.file.name, line: 1, key: formatKey(remark.path), message: remark.message };
  }
  return placeInMain(layers, ofEntry ? { ...remark, path: ["homeservers", entry, ...remark.path] } : remark);
}

function placeOfName(layers: Layers, main: Raw, name: string, message: string): ConfigProblem {
  const entry = entriesOf(main).findIndex((one) => one.name === name);
  if (entry >= 0) return placeInMain(layers, { path: ["homeservers", entry, "name"], message });
  const file = layers.perDomain.get(name)?.at(0);
  return { file: file?.name ?? "", line: file?.locate(["homeserver"]).line ?? 1, key: "homeserver", message };
}

function entriesOf(main: Raw): readonly Raw[] {
  const list = main.homeservers;
  return Array.isArray(list) ? list.filter(isMapping) : [];
}

function pick(raw: Raw, keys: readonly string[]): Raw {
  return Object.fromEntries(keys.filter((key) => Object.hasOwn(raw, key)).map((key) => [key, raw[key]]));
}
