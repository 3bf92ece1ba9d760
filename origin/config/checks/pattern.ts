import * as z from "zod";

const MAX_LENGTH = 512;
/** What is escaped, or a whole character class. */
const ESCAPED_OR_CLASS = /\\.|\[(?:\\.|[^\]\\])*\]/gs;
/** A repeated group that itself holds a repetition: the shape whose matching time explodes in a backtracking engine. */
const NESTED_REPETITION = /\((?:[^()\\]|\\.)*[+*}](?:[^()\\]|\\.)*\)[+*{]/;

/**
 * Compiles a regular expression of the configuration. A leading `(?i)` is understood. Throws an `Error` that says what is
 * wrong: not a regular expression, too long, or a repetition inside a repetition.
 */
export function compilePattern(source: string): RegExp {
  if (source.length > MAX_LENGTH) throw new Error(`is longer than ${MAX_LENGTH} characters`);
  if (NESTED_REPETITION.test(withoutClasses(source)))
    throw new Error("repeats a group that repeats something itself; write it without");
  const ignoreCase = source.startsWith("(?i)");
  try {
    return new RegExp(ignoreCase ? source.slice(4) : source, ignoreCase ? "iu" : "u");
  } catch {
    return compileLoosely(source, ignoreCase);
  }
}

/** Inside a character class, `+` and the like are characters: each class becomes one letter. */
function withoutClasses(source: string): string {
  return source.replace(ESCAPED_OR_CLASS, (part) => (part.startsWith("[") ? "x" : part));
}

/** Without `u`: escapes such as `\@` and `\-`, which Go and Python accept, are no errors then. */
function compileLoosely(source: string, ignoreCase: boolean): RegExp {
  try {
    return new RegExp(ignoreCase ? source.slice(4) : source, ignoreCase ? "i" : "");
  } catch {
    throw new Error("is not a regular expression");
  }
}

/** A key that holds a regular expression. It is searched for, not anchored, as in matrix-media-repo. */
export function pattern(description: string) {
  return z
    .string({ error: "must be a regular expression" })
    .transform((source, context): RegExp => {
      try {
        return compilePattern(source);
      } catch (error) {
        context.addIssue({ code: "custom", message: error instanceof Error ? error.message : String(error) });
        return z.NEVER;
      }
    })
    .meta({ type: "regular expression", description });
}
