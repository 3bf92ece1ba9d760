import * as z from "zod/mini";

/** Reads JSON of this form; undefined for anything else. Zod's schemas of either kind will do. */
export function parseDocument<T extends z.core.$ZodType>(schema: T, text: string): z.core.output<T> | undefined {
  try {
    return z.safeParse(schema, JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
