import type * as z from "zod";
import type { KeyDoc } from "./key_doc.ts";
import { mainSchema } from "./schema.ts";
import { docOf, literalType, nodeOf } from "./schema_tree.ts";

type Row = { readonly key: string; readonly doc: Partial<KeyDoc> };

const HEAD = `# Configuration reference

Made by \`mxcdn config reference\`; do not edit.

The configuration is YAML, in one file or in a folder whose files are read in alphabetical order. The keys are those of
matrix-media-repo, with the same defaults, and a few new ones. A file with \`homeserver: <server name>\` at its top holds for
that homeserver only: its sections are merged deeply over the others', key by key (lists are replaced). Of a section that
several main files hold, the last file's counts alone. Editors' backups in the folder (\`*~\`, \`#*#\`, \`*.bak\`, \`*.orig\`,
\`*.swp\`) and names that start with a dot are left out.

A number below 0 is read as 0, but for the few of which it is said otherwise. Where 0 could not be used (a timeout, say), the
default holds instead, with a warning.

_Per domain_: a per-domain file may set it. _Live_: a change is meant to hold without a restart.
`;

/** The whole reference as Markdown: every key with type, default, reach and meaning. */
export function configReference(): string {
  const sections = Object.entries(mainSchema.shape).map(([name, schema]) => sectionText(name, schema));
  return `${[HEAD, ...sections].join("\n")}`;
}

function sectionText(name: string, schema: z.core.$ZodType): string {
  const doc = docOf(schema);
  const rows = rowsOf(schema, name, {});
  const lines = [`## ${name}`, "", `${doc.description ?? ""}${statusText(doc)}`];
  return `${[...lines, "", "| Key | Type | Default | Per domain | Live | Meaning |", "| --- | --- | --- | --- | --- | --- |", ...rows.map(rowText)].join("\n")}\n`;
}

function rowsOf(schema: z.core.$ZodType, key: string, above: Partial<KeyDoc>): Row[] {
  const doc = inherit(above, docOf(schema));
  const node = nodeOf(schema);
  switch (node.kind) {
    case "section":
      return Object.entries(node.shape).flatMap(([name, child]) => rowsOf(child, `${key}.${name}`, doc));
    case "list":
      return nodeOf(node.element).kind === "leaf" ? [{ key, doc }] : rowsOf(node.element, `${key}[]`, doc);
    case "choice":
      return [{ key: `${key}.type`, doc: { ...doc, ...typeDoc(node.options) } }, ...optionRows(node.options, key, doc)];
    case "leaf":
      return [{ key, doc }];
    default:
      return node satisfies never;
  }
}

/** The keys of all alternatives; those of one alone say which. Retired alternatives are left out. */
function optionRows(options: readonly z.core.$ZodType[], key: string, doc: Partial<KeyDoc>): Row[] {
  const rows = options
    .filter((option) => literalType(option) !== "ipfs")
    .flatMap((option) => rowsOf(option, key, doc).map((row) => ({ ...row, type: literalType(option) })))
    .filter((row) => row.key !== `${key}.type`);
  const shared = new Set(
    rows.filter((row, index) => rows.findIndex(({ key }) => key === row.key) < index).map((row) => row.key),
  );
  const seen = new Set<string>();
  return rows.flatMap(({ type, ...row }) => {
    if (seen.has(row.key)) return [];
    seen.add(row.key);
    const meaning = shared.has(row.key) ? row.doc.description : `(${type}) ${row.doc.description}`;
    return [{ ...row, doc: { ...row.doc, description: meaning ?? "" } }];
  });
}

function typeDoc(options: readonly z.core.$ZodType[]): Partial<KeyDoc> {
  const types = options.map(literalType).filter((type) => type !== "ipfs");
  return { type: types.join(" \\| "), description: "Which kind of store it is." };
}

function inherit(above: Partial<KeyDoc>, own: Partial<KeyDoc>): Partial<KeyDoc> {
  const { domain, live, status } = above;
  return {
    ...(domain === undefined ? {} : { domain }),
    ...(live === undefined ? {} : { live }),
    ...(status === undefined ? {} : { status }),
    ...own,
  };
}

function rowText({ key, doc }: Row): string {
  const cells = [
    `\`${key}\``,
    doc.type ?? "",
    defaultText(doc.default),
    doc.domain ? "yes" : "no",
    doc.live ? "yes" : "no",
    `${doc.description ?? ""}${statusText(doc)}`,
  ];
  return `| ${cells.join(" | ")} |`;
}

function defaultText(value: unknown): string {
  if (value === undefined) return "";
  if (value === "") return "empty";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return `\`${text.replaceAll("|", "\\|")}\``;
}

function statusText({ status }: Partial<KeyDoc>): string {
  if (status === "later") return " _Not built yet._";
  return status === "retired" ? " _Accepted, without effect._" : "";
}
