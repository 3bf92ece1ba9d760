import type * as z from "zod";
import { readNumber } from "../fields.ts";
import { isMapping } from "../files/merge.ts";
import type { KeyDoc } from "../key_doc.ts";
import { docOf, nodeOf, optionFor } from "../schema_tree.ts";
import { formatKey } from "./config_error.ts";

/** A key of a file that deserves a word, though nothing is wrong with its value. */
export interface Notice {
  readonly kind: "unknown" | "retired" | "later" | "main_only" | "too_little" | "useless";
  readonly path: readonly PropertyKey[];
  /** What there is to say beside the kind: the key that was probably meant, what takes its place, or what holds instead. */
  readonly hint: string;
}

/** What a key inherits from the section it stands in. */
type Inherited = Pick<KeyDoc, "domain" | "status">;

/**
 * Finds the keys in `value` that the schema does not know, that are retired, whose feature is yet to be built, that mean
 * nothing in a per-domain file, or whose value is so little that the default holds instead. Of a section that is switched
 * off (`enabled: false`) nothing is said.
 */
export function findNotices(schema: z.core.$ZodType, value: unknown, forDomain: boolean): Notice[] {
  return walk(schema, value, [], forDomain, {});
}

function walk(
  schema: z.core.$ZodType,
  value: unknown,
  path: readonly PropertyKey[],
  forDomain: boolean,
  inherited: Inherited,
): Notice[] {
  const node = nodeOf(schema);
  if (node.kind === "list") {
    if (!Array.isArray(value)) return [];
    return value.flatMap((item, index) => walk(node.element, item, [...path, index], forDomain, inherited));
  }
  if (node.kind === "choice") {
    const option = optionFor(node.options, value);
    return option ? walk(option, value, path, forDomain, inherited) : [];
  }
  if (node.kind === "leaf" || !isMapping(value)) return [];
  return Object.entries(value).flatMap(([key, child]) => {
    const here = [...path, key];
    const schemaOfKey = Object.hasOwn(node.shape, key) ? node.shape[key] : undefined;
    if (!schemaOfKey) return [{ kind: "unknown", path: here, hint: nearest(key, Object.keys(node.shape)) }] as const;
    return ofKey(schemaOfKey, child, here, forDomain, inherited);
  });
}

function ofKey(
  schema: z.core.$ZodType,
  value: unknown,
  path: readonly PropertyKey[],
  forDomain: boolean,
  inherited: Inherited,
): Notice[] {
  const doc = docOf(schema);
  const now: Inherited = {
    ...inherited,
    ...(doc.domain === undefined ? {} : { domain: doc.domain }),
    ...(doc.status === undefined ? {} : { status: doc.status }),
  };
  if (forDomain && now.domain === false) return [{ kind: "main_only", path, hint: "" }];
  if (now.status !== undefined) {
    const off = isMapping(value) && value.enabled === false;
    const harmless = off || doc.harmless?.some((one) => one === value) || (Array.isArray(value) && value.length === 0);
    return harmless ? [] : [{ kind: now.status, path, hint: doc.description ?? "" }];
  }
  if (isLess(value, doc.least))
    return [{ kind: "too_little", path, hint: JSON.stringify(doc.default) ?? "the default" }];
  const useless = uselessOf(value, doc.works);
  if (useless.length > 0)
    return [{ kind: "useless", path, hint: `${useless.join(", ")}; those that can: ${doc.works?.join(", ")}` }];
  return walk(schema, value, path, forDomain, now);
}

/** What a list holds beside what works. */
function uselessOf(value: unknown, works: readonly string[] | undefined): string[] {
  if (works === undefined || !Array.isArray(value)) return [];
  return value.filter((one) => typeof one === "string" && !works.includes(one.toLowerCase()));
}

function isLess(value: unknown, least: number | undefined): boolean {
  if (least === undefined) return false;
  const size = Array.isArray(value) ? value.length : readNumber(value);
  return typeof size === "number" && size < least;
}

/** The known key that an unknown one probably stands for: the same but for case, or within two letters. */
function nearest(key: string, known: readonly string[]): string {
  const same = known.find((one) => one.toLowerCase() === key.toLowerCase());
  const close = same ?? known.find((one) => distance(one.toLowerCase(), key.toLowerCase()) <= 2);
  return close === undefined ? "" : `; did you mean ${formatKey([close])}?`;
}

/** Levenshtein's distance; keys are short. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const change = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}
