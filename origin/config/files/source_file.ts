import { type Document, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from "yaml";
import { ConfigError, type ConfigProblem, formatKey } from "../checks/config_error.ts";

/** Aliases may repeat no more than this many nodes: more is an "alias bomb". */
const MAX_ALIASES = 100;

/** Plain data of a mapping, with empty values left out. */
export type Raw = Readonly<Record<string, unknown>>;

/** One file of the configuration, read. */
export interface SourceFile {
  readonly name: string;
  readonly value: Raw;
  /** The homeserver that a per-domain file is for. */
  readonly homeserver: string | undefined;
  /** The line on which a second document starts, which is not read. */
  readonly furtherLine: number | undefined;
  /** How much of this path the file holds, in steps, and on which line the last of them stands. */
  locate(path: readonly PropertyKey[]): { depth: number; line: number };
}

/**
 * Reads one YAML file (YAML 1.2, merge keys allowed), of several documents in it the first. Throws `ConfigError` for what is no
 * YAML: broken syntax, a key that stands twice, too many aliases, a top level that is no mapping.
 */
export function parseSourceFile(name: string, text: string): SourceFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, merge: true, prettyErrors: false, logLevel: "error" });
  const further = document.errors.find(({ code }) => code === "MULTIPLE_DOCS");
  const errors = document.errors.filter((error) => error !== further);
  const problems = errors.map((error) => syntaxProblem(name, document, lines, error));
  if (problems.length > 0) throw new ConfigError(problems);
  keepNumbersAsWritten(document);
  const value = withoutEmpty(plainValue(name, document));
  return {
    name,
    value,
    homeserver: typeof value.homeserver === "string" ? value.homeserver : undefined,
    furtherLine: further && (lines.linePos(further.pos[0]).line || 1),
    locate: (path) => locate(document, lines, path),
  };
}

function syntaxProblem(
  file: string,
  document: Document.Parsed,
  lines: LineCounter,
  error: { code: string; message: string; pos: [number, number] },
): ConfigProblem {
  const line = lines.linePos(error.pos[0]).line || 1;
  if (error.code !== "DUPLICATE_KEY") {
    return { file, line, key: "", message: `is not valid YAML: ${error.message.split("\n", 1)[0]}` };
  }
  return { file, line, key: keyAt(document, error.pos[0]), message: "stands twice; keep one of the two" };
}

/** The path of the key that starts at an offset of the text. */
function keyAt(document: Document.Parsed, offset: number): string {
  let found: PropertyKey[] = [];
  visit(document, {
    Pair(_key, pair, ancestors) {
      if (!isScalar(pair.key) || pair.key.range?.[0] !== offset) return;
      const above = ancestors.flatMap((node, index) => stepInto(node, ancestors[index + 1]));
      found = [...above, String(pair.key.value)];
      return visit.BREAK;
    },
  });
  return formatKey(found);
}

function stepInto(node: unknown, child: unknown): PropertyKey[] {
  if (isSeq(node)) return [node.items.indexOf(child)];
  const key = node && typeof node === "object" && "key" in node ? node.key : undefined;
  return isScalar(key) ? [String(key.value)] : [];
}

/** A number that is not written as it would be printed (0123, 1_000, 1e6, 30 digits) stays text: a secret may look so. */
function keepNumbersAsWritten(document: Document.Parsed): void {
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value === "number" && node.source !== undefined && node.source !== String(node.value)) {
        node.value = node.source;
      }
    },
  });
}

function plainValue(file: string, document: Document.Parsed): Raw {
  const problem = (message: string) => new ConfigError([{ file, line: 0, key: "", message }]);
  if (document.contents === null) return {};
  if (!isMap(document.contents)) throw problem("must be a mapping of sections (`repo:`, `homeservers:`, …)");
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES }) as Raw;
  } catch {
    throw problem(`repeats itself through aliases more than ${MAX_ALIASES} times`);
  }
}

/** An empty value (`uploads:` and nothing) is the same as none. */
function withoutEmpty(raw: Raw): Raw {
  const entries = Object.entries(raw).filter(([, value]) => value !== null);
  return Object.fromEntries(entries.map(([key, value]) => [key, withoutEmptyIn(value)]));
}

function withoutEmptyIn(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmptyIn);
  return value !== null && typeof value === "object" ? withoutEmpty(value as Raw) : value;
}

function locate(document: Document.Parsed, lines: LineCounter, path: readonly PropertyKey[]) {
  let node: unknown = document.contents;
  let offset = 0;
  let depth = 0;
  for (const part of path) {
    const step = stepTo(node, part);
    if (!step) break;
    node = step.node;
    offset = step.offset ?? offset;
    depth += 1;
  }
  return { depth, line: lines.linePos(offset).line || 1 };
}

function stepTo(node: unknown, part: PropertyKey): { node: unknown; offset: number | undefined } | undefined {
  if (isMap(node)) {
    const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part));
    return pair && { node: pair.value, offset: isScalar(pair.key) ? pair.key.range?.[0] : undefined };
  }
  if (!isSeq(node) || typeof part !== "number" || part >= node.items.length) return undefined;
  const item = node.items[part];
  const range = item && typeof item === "object" && "range" in item ? (item.range as [number] | undefined) : undefined;
  return { node: item, offset: range?.[0] };
}
