import { posix } from "node:path";
import { type Import, readImports, withoutComments } from "./read_imports.ts";

/** The source files of the house, by their path from its top. */
export type House = ReadonlyMap<string, string>;

/**
 * Which rooms a room may import from, beside itself. `origin/app` is `origin/app.ts`: the composition root. What is not
 * named here is no room.
 */
const PLATFORM = ["shared", "origin/platform"];
const STORES = [...PLATFORM, "origin/net", "origin/imaging", "origin/config", "origin/stores"];
const MATRIX = [...STORES, "origin/matrix"];
const PUBLISH = [...MATRIX, "origin/publish"];
const ACCESS = [...PUBLISH, "origin/access"];
const DOMAINS = [...ACCESS, "origin/domains"];
const MEDIA = [...DOMAINS, "origin/media"];
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  shared: [],
  edge: ["shared"],
  "origin/platform": ["shared"],
  "origin/config": PLATFORM,
  "origin/net": PLATFORM,
  "origin/imaging": PLATFORM,
  "origin/stores": PLATFORM,
  "origin/matrix": [...PLATFORM, "origin/net"],
  "origin/publish": MATRIX,
  "origin/access": PUBLISH,
  "origin/domains": ACCESS,
  "origin/media": DOMAINS,
  "origin/jobs": MEDIA,
  "origin/http": [...MEDIA, "origin/jobs"],
  "origin/commands": ["shared", "origin/platform", "origin/config", "origin/matrix"],
  "origin/app": [...MEDIA, "origin/jobs", "origin/http"],
  "origin/main.ts": ["origin/app", "origin/config", "origin/commands", "origin/platform"],
  "origin/cli.ts": ["origin/main.ts", "origin/config", "origin/commands", "origin/platform"],
};

/**
 * The rooms that build themselves, by folder, and the door of each: the one file of which anything outside may take more than
 * types. A room within a room is private to it unless it is named here, too.
 */
const ROOM_DOORS: Readonly<Record<string, string>> = {
  "edge/origin": "edge/origin/client.ts",
  "origin/access": "origin/access/access.ts",
  "origin/jobs": "origin/jobs/jobs.ts",
  "origin/http": "origin/http/server.ts",
  "origin/imaging": "origin/imaging/imager.ts",
  "origin/net": "origin/net/net.ts",
  "origin/matrix/homeserver": "origin/matrix/homeserver/homeserver.ts",
  "origin/matrix/federation": "origin/matrix/federation/federation.ts",
  "origin/matrix/keys": "origin/matrix/keys/server_keys.ts",
  "origin/matrix/media": "origin/matrix/media/peer_media.ts",
};

/** What a room throws may be taken from where it stands, as its types: whoever catches it must know the class. */
const ERRORS = /_errors?\.ts$/;

/** How many files and folders a folder may hold, unit tests left out. */
const MAX_ENTRIES = 13;
/** Folders that hold more, each for a reason: one file per table, per section of the configuration, per word of the protocol. */
const LARGE_FOLDERS = ["origin/stores/db/tables", "origin/config/sections", "shared/matrix", "test/support", "origin"];

/** The only places that may import a library. A library that is not here has no place yet. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  fastify: ["origin/http/", "origin/app"],
  pg: ["origin/stores/db/"],
  "@electric-sql/pglite": ["origin/stores/db/"],
  "lru-cache": ["origin/"],
  ioredis: ["origin/stores/cache/"],
  "@aws-sdk/client-s3": ["origin/stores/"],
  "@aws-sdk/lib-storage": ["origin/stores/"],
  sharp: ["origin/imaging/"],
  "itty-router": ["edge/app.ts"],
  "prom-client": ["origin/platform/metrics.ts"],
  undici: ["origin/net/"],
  pino: ["origin/platform/log.ts"],
  yaml: ["origin/config/"],
  commander: ["origin/commands/", "origin/cli", "origin/main.ts"],
  aws4fetch: ["edge/bucket.ts"],
  miniflare: ["origin/commands/edge/worker_runtime.ts", "origin/commands/edge/edge_process.ts"],
  wrangler: ["origin/commands/"],
  esbuild: ["origin/commands/edge/worker_bundle.ts"],
  "smol-toml": ["origin/commands/edge/worker_settings.ts"],
};

/** Scripts that are processes of their own may have a state of their own; so may the Worker's isolate. */
const OWN_STATE = [
  "edge/main.ts",
  "origin/commands/edge/wrangler_supervisor.ts",
  "origin/commands/edge/edge_process.ts",
  "origin/imaging/sandbox/decoder_process.ts",
];
/** Finds a program that it runs, and imports nothing. */
const MAY_RESOLVE = ["origin/commands/edge/wrangler_command.ts"];
/** The one place that hands a body to a connection. `server.ts` may end the connection of an answer that was begun. */
const WRITES_ANSWERS = ["origin/http/reply/write.ts"];
/** Node's streams are made of web streams only here, where a library takes no other, with an owner from the first moment. */
const MAKES_NODE_STREAMS = [
  "origin/stores/objects/s3.ts",
  "origin/stores/bucket/edge_bucket.ts",
  "origin/stores/objects/s3/put_object.ts",
];
const MAY_READ_ENVIRONMENT = ["origin/main.ts", "origin/cli.ts", "origin/commands/"];
const TOP_ROOMS = new Set(["shared", "edge", "origin", "migrations", "test"]);

/** Says what breaks the plan of the house; nothing where it is kept. */
export function findBreaches(house: House, doors = ROOM_DOORS): string[] {
  const rooms = [...house].filter(([path]) => !path.startsWith("test/"));
  return [
    ...misplaced(house),
    ...crowded(house),
    ...rooms.flatMap(([path, text]) => [
      ...imports(house, path, text),
      ...pastDoors(house, path, text, doors),
      ...manners(path, text),
    ]),
    ...circles(new Map(rooms.filter(([path]) => !path.endsWith("_test.ts")))),
    ...oneSided(new Map(rooms.filter(([path]) => !path.endsWith("_test.ts")))),
  ];
}

function roomOf(path: string): string | undefined {
  if (/^origin\/app\.ts$/.test(path)) return "origin/app";
  return Object.keys(ARROWS).find((room) => path === room || path.startsWith(`${room}/`));
}

function misplaced(house: House): string[] {
  return [...house.keys()].flatMap((path) => {
    const top = path.split("/")[0] ?? "";
    if (!TOP_ROOMS.has(top)) return [`${path}: there is no room for it at the top`];
    if (top === "test" || top === "migrations" || roomOf(path) !== undefined) return [];
    return [`${path}: stands in no room`];
  });
}

function crowded(house: House): string[] {
  const entries = new Map<string, Set<string>>();
  for (const path of house.keys()) {
    if (path.endsWith("_test.ts")) continue;
    for (let inner = path; inner.includes("/"); inner = posix.dirname(inner)) {
      const folder = posix.dirname(inner);
      entries.set(folder, (entries.get(folder) ?? new Set()).add(inner));
    }
  }
  return [...entries].flatMap(([folder, { size }]) =>
    size <= MAX_ENTRIES || LARGE_FOLDERS.includes(folder) ? [] : [`${folder}: holds ${size} entries`],
  );
}

function imports(house: House, path: string, text: string): string[] {
  const room = roomOf(path) ?? "";
  return readImports(text).flatMap((one) => {
    const at = `${path}:${one.line}`;
    if (one.from.startsWith(".")) return relativeImport(house, path, room, one, at);
    return library(path, room, one.from, at);
  });
}

function relativeImport(house: House, path: string, room: string, { from }: Import, at: string): string[] {
  const target = posix.join(posix.dirname(path), from);
  const isTest = path.endsWith("_test.ts");
  if (!from.endsWith(".ts") && !from.endsWith(".json")) return [`${at}: ${from} must be imported with its literal .ts`];
  if (from.endsWith(".ts") && !house.has(target)) return [`${at}: ${from} is not there`];
  if (isTest && /^test\/(support|vectors)\//.test(target)) return [];
  const other = roomOf(target);
  if (other === undefined) return [`${at}: ${room} may not import from outside the rooms (${target})`];
  const allowed = other === room || (ARROWS[room] ?? []).includes(other);
  return allowed ? [] : [`${at}: ${room} may not import from ${other}`];
}

/** Every room that the target stands in and the file does not must be entered by its door. */
function pastDoors(house: House, path: string, text: string, doors: typeof ROOM_DOORS): string[] {
  if (path.endsWith("_test.ts")) return [];
  return readImports(text).flatMap(({ from, isType, line }) => {
    const target = posix.join(posix.dirname(path), from);
    if (isType || !house.has(target)) return [];
    return Object.entries(doors)
      .filter(([room, door]) => target.startsWith(`${room}/`) && !path.startsWith(`${room}/`) && target !== door)
      .filter(() => !ERRORS.test(target))
      .map(([room, door]) => `${path}:${line}: ${room} is entered by ${door}, not by ${target}`);
  });
}

function library(path: string, room: string, from: string, at: string): string[] {
  const isTest = path.endsWith("_test.ts");
  if (from === "node:process") return [`${at}: takes the process as the global it is, where it may`];
  if (from.startsWith("node:")) {
    const outside = (room === "shared" || room === "edge") && !isTest;
    return outside ? [`${at}: ${room} may not import ${from}`] : [];
  }
  if (from.startsWith("cloudflare:")) return room === "edge" ? [] : [`${at}: only edge may import ${from}`];
  const name = from
    .split("/")
    .slice(0, from.startsWith("@") ? 2 : 1)
    .join("/");
  if (name === "zod") return zod(room, from, at);
  if (room === "shared") return [`${at}: shared may not import ${name}`];
  const doors = Object.hasOwn(DOORS, name) ? DOORS[name] : undefined;
  if (!doors) return [`${at}: ${name} has no door`];
  return doors.some((door) => path.startsWith(door)) ? [] : [`${at}: ${name} has its door in ${doors.join(", ")}`];
}

/** The small zod in what the Worker is bundled of, the whole one elsewhere. */
function zod(room: string, from: string, at: string): string[] {
  const wanted = room === "shared" || room === "edge" ? "zod/mini" : "zod";
  return from === wanted ? [] : [`${at}: ${room} takes ${wanted}, not ${from}`];
}

function manners(path: string, text: string): string[] {
  const code = withoutComments(text);
  const isTest = path.endsWith("_test.ts");
  const say = (wrong: boolean, what: string) => (wrong ? [`${path}: ${what}`] : []);
  const allowed = (list: readonly string[]) => list.some((one) => path.startsWith(one));
  return [
    ...say(/(^|\/)index\.ts$/.test(path), "is an index: name it after what it holds"),
    ...say(
      /^export\s+(type\s+)?(\*|\{[^}]*\})\s*(as\s+\w+\s+)?from\b/m.test(code),
      "exports what others define (a barrel)",
    ),
    ...say(/^export\s+default\b/m.test(code) && path !== "edge/main.ts", "has a default export"),
    ...say(/\bprocess\s*\.\s*env\b/.test(code) && !allowed(MAY_READ_ENVIRONMENT) && !isTest, "reads the environment"),
    ...say(
      /^(export\s+)?let\s/m.test(code) && !OWN_STATE.includes(path) && !isTest,
      "has a state at the top of the module",
    ),
    ...say(
      /^(export\s+)?const\s[^\n]*=\s*new\s+(Map|Set|WeakMap|WeakSet|Array)(<[^\n]*>)?\(\s*\)/m.test(code) &&
        !OWN_STATE.includes(path) &&
        !isTest,
      "has a collection at the top of the module",
    ),
    ...say(
      path.startsWith("shared/") && !isTest && /\bDate\s*\.\s*now\b|\bnew\s+Date\s*\(\s*\)|\bperformance\b/.test(code),
      "has a clock of its own",
    ),
    ...say(path.startsWith("shared/") && !isTest && /\bMath\s*\.\s*random\b/.test(code), "draws lots of its own"),
    ...say(
      path.startsWith("origin/http/") &&
        !isTest &&
        /\braw\s*\.\s*(write|writeHead|end)\s*\(|\.pipe\s*\(/.test(code) &&
        !allowed(WRITES_ANSWERS),
      "writes an answer by itself: http/write.ts does",
    ),
    ...say(
      path.startsWith("origin/") &&
        !isTest &&
        /\bReadable\s*\.\s*(from|fromWeb)\s*\(|\baddAbortSignal\b/.test(code) &&
        !allowed(MAKES_NODE_STREAMS),
      "makes a stream that nobody owns",
    ),
    ...say(/\brequire\s*\(|\bcreateRequire\b/.test(code) && !MAY_RESOLVE.includes(path), "imports behind our back"),
  ];
}

/** Imports that come back to where they began, types included; each circle once. */
function circles(house: House): string[] {
  const graph = new Map([...house].map(([path, text]) => [path, neighbours(path, text)]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, above: readonly string[]) => {
    const start = above.indexOf(path);
    if (start >= 0) return void found.push(`circle: ${[...above.slice(start), path].join(" → ")}`);
    if (done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...above, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}

function neighbours(path: string, text: string): string[] {
  const relative = readImports(text).filter(({ from }) => from.startsWith("."));
  return relative.map(({ from }) => posix.join(posix.dirname(path), from));
}

/** Files of shared that only one tier uses, directly or through other files of shared: they belong to that tier. */
function oneSided(house: House): string[] {
  const graph = new Map([...house].map(([path, text]) => [path, neighbours(path, text)]));
  const usedBy = (tier: string) => {
    const used = new Set<string>();
    const visit = (path: string) => {
      if (!path.startsWith("shared/") || used.has(path)) return;
      used.add(path);
      graph.get(path)?.forEach(visit);
    };
    for (const [path, imported] of graph) if (path.startsWith(tier)) imported.forEach(visit);
    return used;
  };
  const [edge, origin] = [usedBy("edge/"), usedBy("origin/")];
  return [...house.keys()]
    .filter((path) => path.startsWith("shared/") && !(edge.has(path) && origin.has(path)))
    .map((path) => `${path}: is not used by both tiers`);
}
