import type { Raw } from "./source_file.ts";

/** Lays `over` upon `under`: mappings are merged key by key at every depth, everything else (lists too) is replaced. */
export function mergeDeep(under: Raw, over: Raw): Raw {
  const merged: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const below = Object.hasOwn(under, key) ? under[key] : undefined;
    merged[key] = isMapping(below) && isMapping(value) ? mergeDeep(below, value) : value;
  }
  return merged;
}

/** Is this plain data with keys? */
export function isMapping(value: unknown): value is Raw {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
