import { isDeepStrictEqual } from "node:util";
import type * as z from "zod";
import { isMapping } from "../files/merge.ts";
import { type Config, mainSchema } from "../schema.ts";
import { docOf, nodeOf } from "../schema_tree.ts";
import { formatKey } from "./config_error.ts";

/** The keys whose changed values hold only after a restart, as the schema says of each (`live: false`): `thumbnails.numWorkers`. */
export function restartKeys(before: Config, after: Config): string[] {
  return differences(mainSchema, before, after, [], true);
}

function differences(
  schema: z.core.$ZodType,
  before: unknown,
  after: unknown,
  path: readonly string[],
  inherited: boolean,
): string[] {
  const { live = inherited, status } = docOf(schema);
  if (status !== undefined) return [];
  const node = nodeOf(schema);
  if (node.kind === "section" && isMapping(before) && isMapping(after)) {
    return Object.entries(node.shape).flatMap(([key, child]) =>
      differences(child, before[key], after[key], [...path, key], live),
    );
  }
  return live || isDeepStrictEqual(before, after) ? [] : [formatKey(path)];
}
