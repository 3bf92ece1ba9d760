import * as z from "zod";
import type { KeyDoc } from "./key_doc.ts";

/** A schema as the documentation sees it: without the wrappers for defaults and conversions. */
export type SchemaNode =
  | { readonly kind: "section"; readonly shape: Readonly<Record<string, z.core.$ZodType>> }
  | { readonly kind: "list"; readonly element: z.core.$ZodType }
  | { readonly kind: "choice"; readonly options: readonly z.core.$ZodType[] }
  | { readonly kind: "leaf" };

/** What the schema says of itself with `.meta()`. */
export function docOf(schema: z.core.$ZodType): Partial<KeyDoc> {
  return (z.globalRegistry.get(schema) ?? {}) as Partial<KeyDoc>;
}

/** Looks under the wrappers of a schema. */
export function nodeOf(schema: z.core.$ZodType): SchemaNode {
  if (schema instanceof z.ZodObject) return { kind: "section", shape: schema.shape };
  if (schema instanceof z.ZodArray) return { kind: "list", element: schema.element };
  if (schema instanceof z.ZodDiscriminatedUnion) return { kind: "choice", options: schema.options };
  if (schema instanceof z.ZodPrefault || schema instanceof z.ZodDefault) return nodeOf(schema.def.innerType);
  if (schema instanceof z.ZodPipe) return nodeOf(schema.def.out);
  return { kind: "leaf" };
}

/** The alternative of a choice (a datastore's `type`) that this value names; the first where it names none. */
export function optionFor(options: readonly z.core.$ZodType[], value: unknown): z.core.$ZodType | undefined {
  const type = value !== null && typeof value === "object" && "type" in value ? value.type : undefined;
  return options.find((option) => literalType(option) === type) ?? options[0];
}

/** The word that chooses this alternative. */
export function literalType(option: z.core.$ZodType): string | undefined {
  const type = option instanceof z.ZodObject ? option.shape.type : undefined;
  return type instanceof z.ZodLiteral ? String(type.value) : undefined;
}
