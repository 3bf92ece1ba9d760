import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { findBreaches } from "./architecture/house.ts";
import { readImports } from "./architecture/read_imports.ts";

const TOP = fileURLToPath(new URL("../", import.meta.url));

function readHouse(): Map<string, string> {
  const paths = globSync("**/*.ts", { cwd: TOP, exclude: (name) => name === "node_modules" || name.startsWith(".") });
  const sources = paths.filter((path) => !path.startsWith("data/"));
  return new Map(sources.sort().map((path) => [path, readFileSync(`${TOP}${path}`, "utf8")]));
}

test("the house is built as planned: arrows, doors, no circles, no barrels, no state", () => {
  const house = readHouse();
  assert.ok(house.size > 100, `only ${house.size} files were found`);
  assert.deepEqual(findBreaches(house), []);
});

/** A sound house, and what one file more does to it. */
const SOUND: readonly (readonly [string, string])[] = [
  ["shared/matrix/mxc.ts", "export const a = 1;\n"],
  ["edge/app.ts", 'import { a } from "../shared/matrix/mxc.ts";\nimport { Router } from "itty-router";\n'],
  ["origin/net/net.ts", 'import "undici";\nexport const fetch = 1;\n'],
  ["origin/stores/db/tables/media.ts", 'import type { Pool } from "pg";\nexport const row = 1;\n'],
  ["origin/platform/ids.ts", 'import type { A } from "../../shared/matrix/mxc.ts";\n'],
  ["origin/matrix/keys.ts", 'import { fetch } from "../net/net.ts";\n'],
  ["origin/app.ts", 'import { row } from "./stores/db/tables/media.ts";\nimport fastify from "fastify";\n'],
  ["origin/main.ts", 'import "./app.ts";\nconst where = process.env.REPO_CONFIG;\n'],
];

const PLANTED: readonly { what: string; path: string; text: string; says: RegExp }[] = [
  {
    what: "an arrow that is turned",
    path: "shared/x.ts",
    text: 'import { b } from "../edge/app.ts";',
    says: /shared may not import from edge/,
  },
  {
    what: "an arrow that is turned by a type alone",
    path: "origin/stores/x.ts",
    text: 'import type { K } from "../matrix/keys.ts";',
    says: /origin\/stores may not import from origin\/matrix/,
  },
  {
    what: "an arrow that is turned by a dynamic import",
    path: "origin/matrix/x.ts",
    text: 'const m = await import("../stores/db/tables/media.ts");',
    says: /origin\/matrix may not import from origin\/stores/,
  },
  {
    what: "an arrow that is turned by the type of an import",
    path: "origin/net/x.ts",
    text: 'type M = import("../stores/db/tables/media.ts").Row;',
    says: /origin\/net may not import from origin\/stores/,
  },
  {
    what: "an import over several lines",
    path: "edge/x.ts",
    text: 'import {\n  row,\n  type Row,\n} from "../origin/stores/db/tables/media.ts";',
    says: /edge\/x\.ts:4: edge may not import from origin\/stores/,
  },
  {
    what: "the configuration in a part",
    path: "origin/http/x.ts",
    text: 'import "../config/x.ts";',
    says: /is not there/,
  },
  {
    what: "a library beside its door",
    path: "origin/http/x.ts",
    text: 'import pg from "pg";',
    says: /pg has its door in/,
  },
  {
    what: "a part of a library beside its door",
    path: "origin/http/x.ts",
    text: 'import "sharp/lib";',
    says: /sharp has its door/,
  },
  { what: "Node in shared", path: "shared/x.ts", text: 'import "node:fs";', says: /shared may not import node:fs/ },
  {
    what: "Node at the edge",
    path: "edge/x.ts",
    text: 'import { Buffer } from "node:buffer";',
    says: /edge may not import node:buffer/,
  },
  {
    what: "the large zod in shared",
    path: "shared/x.ts",
    text: 'import * as z from "zod";',
    says: /shared takes zod\/mini/,
  },
  {
    what: "any library in shared",
    path: "shared/x.ts",
    text: 'import { LRUCache } from "lru-cache";',
    says: /shared may not import lru-cache/,
  },
  {
    what: "tests in what they test",
    path: "edge/x.ts",
    text: 'import "../test/x.ts";',
    says: /is not there|outside the rooms/,
  },
  { what: "a barrel", path: "shared/x.ts", text: 'export * from "./mxc.ts";', says: /barrel/ },
  { what: "a barrel of types", path: "shared/x.ts", text: 'export type { A } from "./mxc.ts";', says: /barrel/ },
  { what: "an index", path: "shared/index.ts", text: "", says: /is an index/ },
  { what: "a default export", path: "shared/x.ts", text: "export default 1;", says: /default export/ },
  { what: "an import without .ts", path: "shared/x.ts", text: 'import "./mxc";', says: /literal \.ts/ },
  {
    what: "the environment in a part",
    path: "origin/http/x.ts",
    text: "const a = process.env.A;",
    says: /reads the environment/,
  },
  {
    what: "a clock in shared",
    path: "shared/x.ts",
    text: "export const f = () => Date.now();",
    says: /clock of its own/,
  },
  {
    what: "lots drawn in shared",
    path: "shared/x.ts",
    text: "export const f = () => Math.random();",
    says: /draws lots/,
  },
  {
    what: "another clock in shared",
    path: "shared/x.ts",
    text: "export const f = () => performance.now();",
    says: /clock of its own/,
  },
  { what: "a library without a door", path: "origin/http/x.ts", text: 'import x from "pg-boss";', says: /has no door/ },
  {
    what: "Node by its old name",
    path: "edge/x.ts",
    text: 'import { readFileSync } from "fs";',
    says: /fs has no door/,
  },
  {
    what: "the environment by another name",
    path: "origin/http/x.ts",
    text: 'import { env } from "node:process";',
    says: /takes the process as the global/,
  },
  {
    what: "a library that is required",
    path: "origin/http/x.ts",
    text: 'import { createRequire } from "node:module";\nexport const pg = createRequire(import.meta.url)("pg");',
    says: /imports behind our back/,
  },
  {
    what: "an import of the old kind",
    path: "shared/x.ts",
    text: 'import x = require("node:fs");',
    says: /behind our back/,
  },
  {
    what: "a singleton",
    path: "origin/http/x.ts",
    text: "const seen = new Map<string, number>();",
    says: /collection at the top/,
  },
  { what: "a variable of a module", path: "origin/http/x.ts", text: "let count = 0;", says: /state at the top/ },
  {
    what: "a body that is handed to a connection beside its door",
    path: "origin/http/x.ts",
    text: "export const f = (reply: Reply) => void reply.raw.write(body);",
    says: /http\/write\.ts does/,
  },
  {
    what: "a stream without an owner",
    path: "origin/http/x.ts",
    text: "export const f = (bytes: ReadableStream) => Readable.fromWeb(bytes, { signal });",
    says: /nobody owns/,
  },
  {
    what: "what only one tier uses, in shared",
    path: "shared/x.ts",
    text: 'import { a } from "./matrix/mxc.ts";',
    says: /shared\/x\.ts: is not used by both tiers/,
  },
  { what: "a room of its own", path: "lib/x.ts", text: "", says: /no room for it at the top/ },
  { what: "a file between the rooms of the origin", path: "origin/utils/x.ts", text: "", says: /stands in no room/ },
];

describe("a planted breach is seen:", () => {
  test("none in a sound house", () => {
    assert.deepEqual(findBreaches(new Map(SOUND)), []);
  });

  for (const { what, path, text, says } of PLANTED) {
    test(what, () => {
      const breaches = findBreaches(new Map([...SOUND, [path, `${text}\n`]]));
      assert.equal(breaches.filter((breach) => says.test(breach)).length, 1, breaches.join("\n"));
    });
  }

  test("a circle, through types too", () => {
    const round = [
      ["shared/a.ts", 'import { b } from "./b.ts";\n'],
      ["shared/b.ts", 'import type { A } from "./a.ts";\n'],
    ] as const;
    const breaches = findBreaches(new Map([...SOUND, ...round])).filter((breach) => breach.startsWith("circle"));
    assert.deepEqual(breaches, ["circle: shared/a.ts → shared/b.ts → shared/a.ts"]);
  });

  test("a file of shared that the second tier uses in tests only", () => {
    const files = [
      ["shared/a.ts", "export const b = 1;\n"],
      ["edge/x.ts", 'import { b } from "../shared/a.ts";\n'],
      ["origin/net/x_test.ts", 'import { b } from "../../shared/a.ts";\n'],
    ] as const;
    assert.deepEqual(findBreaches(new Map([...SOUND, ...files])), ["shared/a.ts: is not used by both tiers"]);
    const used = ["origin/net/y.ts", 'import { b } from "../../shared/a.ts";\n'] as const;
    assert.deepEqual(findBreaches(new Map([...SOUND, ...files, used])), []);
  });
});

describe("a room behind a door", () => {
  const doors = { "origin/net": "origin/net/net.ts" };
  const house = new Map([...SOUND, ["origin/net/dns.ts", "export const dns = 1;\nexport type Dns = 1;\n"] as const]);
  const breachesOf = (path: string, text: string) => findBreaches(new Map([...house, [path, text]]), doors);

  test("is entered by it, and its types are taken from where they stand", () => {
    const text = 'import { fetch } from "../net/net.ts";\nimport type { Dns } from "../net/dns.ts";\n';
    assert.deepEqual(breachesOf("origin/matrix/x.ts", `${text}import { type Dns as D } from "../net/dns.ts";\n`), []);
  });

  test("is not entered past it, from above or by a dynamic import", () => {
    const says = "origin/net is entered by origin/net/net.ts, not by origin/net/dns.ts";
    assert.deepEqual(breachesOf("origin/matrix/x.ts", 'import { dns } from "../net/dns.ts";\n'), [
      `origin/matrix/x.ts:1: ${says}`,
    ]);
    assert.deepEqual(breachesOf("origin/matrix/x.ts", 'const d = await import("../net/dns.ts");\n'), [
      `origin/matrix/x.ts:1: ${says}`,
    ]);
    assert.deepEqual(breachesOf("origin/matrix/x.ts", 'import { type Dns, dns } from "../net/dns.ts";\n'), [
      `origin/matrix/x.ts:1: ${says}`,
    ]);
  });

  test("is caught outside: its errors are taken from where they stand", () => {
    const errors = ["origin/net/fetch_error.ts", "export class FetchError {}\n"] as const;
    const catches = ["origin/matrix/x.ts", 'import { FetchError } from "../net/fetch_error.ts";\n'] as const;
    assert.deepEqual(findBreaches(new Map([...house, errors, catches]), doors), []);
  });

  test("is open within", () => {
    assert.deepEqual(breachesOf("origin/net/x.ts", 'import { dns } from "./dns.ts";\n'), []);
  });
});

test("a folder that holds too much is named", () => {
  const many = Array.from({ length: 14 }, (_, at) => [`origin/http/file_${at}.ts`, ""] as const);
  assert.deepEqual(findBreaches(new Map([...SOUND, ...many])), ["origin/http: holds 14 entries"]);
});

describe("readImports", () => {
  test("reads no comments and no strings", () => {
    const text =
      '// import "a";\n/* import "b"; */\nconst s = "// no comment"; import "./c.ts";\nconst r = /"/; import("./d.ts");\n';
    assert.deepEqual(
      readImports(text).map(({ from }) => from),
      ["./c.ts", "./d.ts"],
    );
  });

  test("knows the line", () => {
    assert.deepEqual(readImports('/*\n*/\nimport type {\n  A,\n} from "./a.ts";\n'), [
      { from: "./a.ts", line: 5, isType: true },
    ]);
  });
});
