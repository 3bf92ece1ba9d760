/** One import of a file, as it is written. */
export interface Import {
  readonly from: string;
  readonly line: number;
  /** It takes types alone: nothing of it is there when the code runs. */
  readonly isType: boolean;
}

const STATIC = /(?:^|[;}\n])\s*(?:import|export)\b(?:\s+type\b)?\s*(?:[\w$*{}\s,]+?\sfrom\s*)?(["'])([^"'\n]+)\1/g;
const DYNAMIC = /\bimport\s*\(\s*(["'`])([^"'`\n]+)\1/g;
const TYPE_QUERY = /\bimport\s*\(\s*(["'])([^"'\n]+)\1\s*\)\s*\./g;

/** All imports of a TypeScript file: values and types, static, re-exported and dynamic. */
export function readImports(text: string): Import[] {
  const code = withoutComments(text);
  const found = new Map<string, Import>();
  for (const pattern of [STATIC, DYNAMIC, TYPE_QUERY]) {
    for (const match of code.matchAll(pattern)) {
      const from = match[2] ?? "";
      const line = code.slice(0, match.index + match[0].indexOf(from)).split("\n").length;
      found.set(`${line} ${from}`, { from, line, isType: pattern === TYPE_QUERY || takesTypes(match[0]) });
    }
  }
  return [...found.values()];
}

/** `import type …`, and `import { type A, type B }`. */
function takesTypes(text: string): boolean {
  if (/^[;}\s]*(?:import|export)\s+type\b/.test(text)) return true;
  const names = /^[;}\s]*import\s*\{([^}]*)\}/.exec(text)?.[1];
  if (names === undefined) return false;
  const list = names.split(",").map((name) => name.trim());
  return list.every((name) => name === "" || name.startsWith("type "));
}

/**
 * The code with its comments blanked out, each line where it was. Strings, templates and regular expressions are stepped
 * over, so that what looks like a comment in them is none.
 */
export function withoutComments(text: string): string {
  const pieces =
    /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[\s\S]|[^`\\])*`|\/\/[^\n]*|\/\*[\s\S]*?\*\/|(?<=[=(,:?&|!\s])\/(?![/*\s])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/g;
  return text.replace(pieces, (piece) => (/^\/[/*]/.test(piece) ? piece.replace(/[^\n]/g, " ") : piece));
}
