import { ConfigError, formatProblem } from "../config/config_error.ts";

/** Something that keeps a command from doing its work, in words that say what to do. */
export class LaunchError extends Error {
  override readonly name = "LaunchError";
}

/** What to tell the operator of an error: a line each, without stack traces. */
export function explain(error: unknown): string[] {
  if (error instanceof ConfigError) return error.problems.map(formatProblem);
  if (error instanceof LaunchError) return [error.message];
  return [`cannot go on: ${chain(error).join(": ")}`];
}

/** The messages of an error and of what caused it. */
function chain(error: unknown): string[] {
  if (error instanceof AggregateError && error.message === "") return chain(error.errors[0]);
  if (!(error instanceof Error)) return [String(error)];
  const own = error.message || ("code" in error ? String(error.code) : error.name);
  const below = error.cause === undefined ? [] : chain(error.cause);
  // Many an error repeats what caused it.
  return [own, ...below.filter((text) => !own.includes(text))];
}
