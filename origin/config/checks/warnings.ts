import { derivedId, usesLocalBucket } from "../files/assemble.ts";
import { type Layers, placeInDomain, placeInMain, type Remark } from "../files/layers.ts";
import { isMapping } from "../files/merge.ts";
import type { Raw, SourceFile } from "../files/source_file.ts";
import { isSilentlyPlain } from "../postgres/postgres_url.ts";
import { domainFileSchema, type MainConfig, mainSchema, type ParsedDomain } from "../schema.ts";
import { type ConfigProblem, formatKey } from "./config_error.ts";
import { findNotices, type Notice } from "./notices.ts";

/** What there is to say of a configuration that can be used. */
export function findWarnings(
  layers: Layers,
  raw: Raw,
  main: MainConfig,
  domains: readonly ParsedDomain[],
): ConfigProblem[] {
  const found = [
    ...furtherDocuments(layers),
    ...replacedSections(layers),
    ...keyWarnings(layers),
    ...[...doubts(layers, main), ...misspeltAdmins(main.admins, domains)].map((remark) => placeInMain(layers, remark)),
    ...domains.flatMap((domain) =>
      [...domainDoubts(domain), ...ownAddresses(main, domain)].map((remark) =>
        placeInDomain(layers, raw, domain.name, remark),
      ),
    ),
  ];
  return [...new Map(found.map((one) => [JSON.stringify(one), one])).values()];
}

type Placed = { readonly file: SourceFile; readonly notice: Notice };

function keyWarnings({ main, perDomain }: Layers): ConfigProblem[] {
  const placed: Placed[] = [
    ...main.flatMap((file) => findNotices(mainSchema, file.value, false).map((notice) => ({ file, notice }))),
    ...[...perDomain.values()].flat().flatMap((file) => {
      return findNotices(domainFileSchema, file.value, true).map((notice) => ({ file, notice: mainOnly(notice) }));
    }),
  ];
  const later = placed.filter(({ notice }) => notice.kind === "later");
  const others = placed.filter(({ notice }) => notice.kind !== "later");
  return [...others.map(({ file, notice }) => at(file, notice.path, say(notice))), ...sayLater(later)];
}

/** A section of the main files in a per-domain file is known, but has nothing to say there. */
function mainOnly(notice: Notice): Notice {
  const [key = ""] = notice.path;
  const known = notice.kind === "unknown" && notice.path.length === 1 && Object.hasOwn(mainSchema.shape, key);
  return known ? { ...notice, kind: "main_only", hint: "" } : notice;
}

function say({ kind, hint }: Notice): string {
  switch (kind) {
    case "unknown":
      return `is not a key of this configuration and changes nothing${hint}`;
    case "retired":
      return `has no effect here: ${hint}`;
    case "main_only":
      return "holds for the whole repository and changes nothing in a per-domain file";
    case "too_little":
      return `is less than can be used: ${hint} holds instead`;
    case "useless":
      return `lists what cannot work: ${hint}`;
    case "later":
      return "changes nothing yet: what it is for is not built yet";
    default:
      return kind satisfies never;
  }
}

/** One warning for all of them: most configurations of matrix-media-repo have many. */
function sayLater(later: readonly Placed[]): ConfigProblem[] {
  const [first] = later;
  if (!first) return [];
  const keys = [...new Set(later.map(({ notice }) => formatKey(notice.path)))];
  const message = `changes nothing yet: what it is for is not built yet${keys.length > 1 ? `; so too: ${keys.slice(1).join(", ")}` : ""}`;
  return [at(first.file, first.notice.path, message)];
}

/** Of a file with several documents the first counts, as in matrix-media-repo. */
function furtherDocuments({ main, perDomain }: Layers): ConfigProblem[] {
  return [...main, ...[...perDomain.values()].flat()].flatMap(({ name, furtherLine }) => {
    if (furtherLine === undefined) return [];
    return [{ file: name, line: furtherLine, key: "", message: "starts a second document (`---`), which is not read" }];
  });
}

/** Main files replace one another's sections whole; what is lost that way is easily overlooked. */
function replacedSections({ main }: Layers): ConfigProblem[] {
  return main.flatMap((file, index) =>
    Object.entries(file.value).flatMap(([section, value]) => {
      const before = main.slice(0, index).findLast((one) => Object.hasOwn(one.value, section));
      const old = before?.value[section];
      if (!before || !isMapping(old) || !isMapping(value)) return [];
      const lost = Object.keys(old).filter((key) => !Object.hasOwn(value, key));
      if (lost.length === 0) return [];
      return [
        at(
          file,
          [section],
          `replaces the whole section of ${before.name}, so there ${lost.join(", ")} no longer holds`,
        ),
      ];
    }),
  );
}

function doubts({ main: files }: Layers, main: MainConfig): Remark[] {
  const remarks: Remark[] = [];
  if (!files.some((file) => Object.hasOwn(file.value, "datastores"))) {
    remarks.push({ path: ["datastores"], message: "is not there: media goes to the folder ./data/media" });
  }
  if (isSilentlyPlain(main.database.postgres)) {
    remarks.push({ path: ["database", "postgres"], message: "does not say sslmode: the connection is not encrypted" });
  }
  if (usesLocalBucket(main.edge)) {
    const message = `names no endpoint: the bucket of a local edge on port ${main.edge.localPort} is used`;
    remarks.push({ path: ["edge", "bucket"], message });
  }
  main.admins.forEach((user, index) => {
    if (!/^@[^:]*:./.test(user))
      remarks.push({ path: ["admins", index], message: "is no user id (@user:example.org)" });
  });
  return remarks;
}

/** User ids are compared letter by letter, so an administrator written in another case is nobody. */
function misspeltAdmins(admins: readonly string[], domains: readonly ParsedDomain[]): Remark[] {
  const names = domains.map(({ name }) => name);
  return admins.flatMap((user, index) => {
    const server = user.slice(user.indexOf(":") + 1);
    if (names.includes(server)) return [];
    const meant = names.find((name) => name.toLowerCase() === server.toLowerCase());
    if (meant === undefined) return [];
    const message = `is a user of no homeserver here: user ids keep their case, and the server name is written "${meant}" here`;
    return [{ path: ["admins", index], message }];
  });
}

/** A homeserver that is asked at our own address is never reached: its questions come back to us. */
function ownAddresses({ repo, edge }: MainConfig, { csApi }: ParsedDomain): Remark[] {
  const { hostname, port, protocol, origin } = new URL(csApi);
  const isHere = /^(?:localhost|127\..*|\[::1\]|0\.0\.0\.0)$/.test(hostname) || hostname === repo.bindAddress;
  const isOurPort = isHere && Number(port || (protocol === "https:" ? 443 : 80)) === repo.port;
  const isOurEdge = edge.url !== "" && new URL(edge.url).origin === origin;
  if (!isOurPort && !isOurEdge) return [];
  const whose = isOurPort ? "this repository itself listens (repo.port)" : "clients reach this repository (edge.url)";
  return [{ path: ["csApi"], message: `is where ${whose}: set it to where the homeserver itself answers` }];
}

function domainDoubts({ datastores, accessTokens }: ParsedDomain): Remark[] {
  const remarks: Remark[] = datastores.flatMap((store, index): Remark[] => {
    if (store.type === "ipfs") {
      return [{ path: ["datastores", index, "type"], message: "ipfs is not supported: this datastore is left out" }];
    }
    if (store.id !== "") return [];
    const message = `names no id, so that its address makes one: ${derivedId(store)}; write it down before the address changes`;
    return [{ path: ["datastores", index], message }];
  });
  for (const kind of ["local_media", "thumbnails"] as const) {
    const taken = datastores.some(({ type, enabled, forKinds }) => {
      return type !== "ipfs" && enabled && (forKinds.includes(kind) || forKinds.includes("all"));
    });
    if (!taken)
      remarks.push({
        path: ["datastores"],
        message: `has no store for ${kind}: nothing new of the kind can be stored`,
      });
  }
  if (accessTokens.useLocalAppserviceConfig && accessTokens.maxCacheTimeSeconds <= 0) {
    const message = "changes nothing while accessTokens.maxCacheTimeSeconds is 0";
    remarks.push({ path: ["accessTokens", "useLocalAppserviceConfig"], message });
  }
  return remarks;
}

function at(file: SourceFile, path: readonly PropertyKey[], message: string): ConfigProblem {
  return { file: file.name, line: file.locate(path).line, key: formatKey(path), message };
}
