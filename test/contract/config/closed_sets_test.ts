import assert from "node:assert/strict";
import { test } from "node:test";
import * as z from "zod";
import { ConfigError, formatProblem } from "../../../origin/config/checks/config_error.ts";
import { parseConfig } from "../../../origin/config/load.ts";
import { mainSchema } from "../../../origin/config/schema.ts";
import { docOf, literalType, nodeOf } from "../../../origin/config/schema_tree.ts";

/** Every key that takes some words only names them where it gets another: as an error, or as a warning where it is a list of wishes. */

interface ClosedSet {
  /** The key as a path; a list of sections is entered at its first. */
  readonly path: readonly PropertyKey[];
  readonly words: readonly string[];
  readonly isList: boolean;
}

/** All keys of the schema whose values are a closed set. */
function closedSets(schema: z.core.$ZodType, path: readonly PropertyKey[] = []): ClosedSet[] {
  const { works } = docOf(schema);
  if (works) return [{ path, words: works, isList: true }];
  const node = nodeOf(schema);
  if (node.kind === "section") {
    return Object.entries(node.shape).flatMap(([key, child]) => closedSets(child, [...path, key]));
  }
  if (node.kind === "choice") {
    const words = node.options.flatMap((option) => literalType(option) ?? []).filter((word) => word !== "ipfs");
    return [{ path: [...path, "type"], words, isList: false }, ...node.options.flatMap((one) => closedSets(one, path))];
  }
  if (node.kind === "list") {
    const words = wordsOf(node.element);
    return words ? [{ path, words, isList: true }] : closedSets(node.element, [...path, 0]);
  }
  const words = wordsOf(schema);
  return words ? [{ path, words, isList: false }] : [];
}

/** The words of an enumeration under its wrappers. */
function wordsOf(schema: z.core.$ZodType): readonly string[] | undefined {
  if (schema instanceof z.ZodEnum) return schema.options.map(String);
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) return wordsOf(schema.def.innerType);
  return schema instanceof z.ZodPipe ? wordsOf(schema.def.out) : undefined;
}

const GOOD = {
  homeservers: [{ name: "example.org", csApi: "http://synapse" }],
  datastores: [{ id: "a", type: "file", forKinds: ["all"], opts: { path: "x" } }],
};

function put(value: unknown, path: readonly PropertyKey[], word: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return word;
  if (typeof key === "number")
    return Array.isArray(value) ? value.with(key, put(value[key], rest, word)) : [put({}, rest, word)];
  const before = { ...(value as Readonly<Record<string, unknown>> | undefined) };
  return { ...before, [String(key)]: put(before[String(key)], rest, word) };
}

function said(path: readonly PropertyKey[], word: unknown): string[] {
  try {
    return parseConfig([{ name: "c.yaml", text: JSON.stringify(put(GOOD, path, word)) }]).warnings.map(formatProblem);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map(formatProblem);
  }
}

const SETS = [...new Map(closedSets(mainSchema).map((one) => [one.path.join("."), one])).values()];

test("all of them are found", () => {
  const keys = SETS.map(({ path }) => path.join("."));
  assert.deepEqual(keys.sort(), [
    "datastores.0.forKinds",
    "datastores.0.type",
    "homeservers.0.adminApiKind",
    "repo.logLevel",
    "thumbnails.types",
  ]);
});

for (const { path, words, isList } of SETS) {
  test(`${path.join(".")} names the values that it takes`, () => {
    const key = path.reduce<string>(
      (text, part) => (typeof part === "number" ? `${text}[${part}]` : `${text}.${String(part)}`),
      "",
    );
    const lines = said(path, isList ? [...words, "nonsense"] : "nonsense").filter((line) =>
      line.includes(key.slice(1)),
    );
    assert.equal(lines.length, 1, lines.join("\n"));
    for (const word of words) assert.ok(lines[0]?.includes(word), `${word}: ${lines[0]}`);
    for (const word of words) {
      const good = said(path, isList ? [word] : word).filter(
        (line) => line.includes("must be") || line.includes("cannot work"),
      );
      assert.deepEqual(
        good.filter((line) => line.includes(key.slice(1))),
        [],
      );
    }
  });
}

test("types that get no thumbnail are named, and the others go on to", () => {
  const types = ["image/PNG", "image/heic", "video/mp4", "image/*"];
  assert.deepEqual(said(["thumbnails", "types"], types), [
    "c.yaml:1: thumbnails.types lists what cannot work: image/heic, video/mp4, image/*; those that can: image/jpeg, image/jpg, image/png, image/apng, image/webp, image/gif, image/avif, image/tiff, image/svg+xml",
  ]);
});
