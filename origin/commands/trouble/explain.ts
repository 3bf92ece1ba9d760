import { ConfigError, formatProblem } from "../../config/checks/config_error.ts";
import { type Dependency, FolderTakenError, StartTrouble } from "../../platform/lifetime.ts";
import { codeOf, connectionTrouble, type Trouble, withCauses } from "./connection_trouble.ts";
import { databaseTrouble, schemaTrouble } from "./database_trouble.ts";
import { folderTrouble } from "./folder_trouble.ts";
import { METRICS_PORT, ORIGIN_PORT, portTrouble } from "./port_trouble.ts";

/** Something that keeps a command from doing its work, in words that say what to do. */
export class LaunchError extends Error {
  override readonly name = "LaunchError";
}

/** What to tell the operator of an error: a line each, without stack traces. */
export function explain(error: unknown): string[] {
  if (error instanceof ConfigError) return error.problems.map(formatProblem);
  if (error instanceof LaunchError) return [error.message];
  if (error instanceof StartTrouble) return [explainStart(error)];
  const told = withCauses(error).find((one) => one instanceof StartTrouble || one instanceof LaunchError);
  return told ? explain(told) : [`cannot go on: ${explainAny(error)}`];
}

/** How each thing that the start needs is called, what is known of its errors, and what to do where nothing is. */
const THINGS: Readonly<
  Record<
    Dependency,
    {
      readonly called: (place: string) => string;
      readonly trouble: (error: unknown) => Trouble | undefined;
      readonly cure: string;
    }
  >
> = {
  postgres: {
    called: (place) => `cannot use the database at ${place}`,
    trouble: databaseTrouble,
    cure: "see database.postgres, and the log of the server",
  },
  embedded_database: {
    called: (place) => `cannot use the embedded database in ${place}`,
    trouble: troubleOfFolder,
    cure: "bring the folder back from a backup, or name another in database.folder to begin with an empty one",
  },
  origin_port: {
    called: (place) => `cannot listen on ${place}`,
    trouble: (error) => portTrouble(error, ORIGIN_PORT),
    cure: "see repo.bindAddress and repo.port",
  },
  metrics_port: {
    called: (place) => `cannot answer Prometheus on ${place}`,
    trouble: (error) => portTrouble(error, METRICS_PORT),
    cure: "see metrics.bindAddress and metrics.port",
  },
};

function explainStart({ dependency, place, cause }: StartTrouble): string {
  const { called, trouble, cure } = THINGS[dependency];
  const known = trouble(cause);
  return `${called(place)}: ${known?.why ?? chain(cause).join(": ")}; ${known?.cure ?? cure}`;
}

function troubleOfFolder(error: unknown): Trouble | undefined {
  const taken = withCauses(error).find((one) => one instanceof FolderTakenError);
  if (taken instanceof FolderTakenError) {
    return { why: `${taken.holder} is using it`, cure: "stop that one first, or name another folder" };
  }
  const found = withCauses(error).map((one) => folderTrouble(codeOf(one) ?? ""));
  return schemaTrouble(error) ?? found.find((one) => one !== undefined);
}

/** An error that nobody has a name for: of a file, or of a connection, or whatever it is. */
function explainAny(error: unknown): string {
  const file = withCauses(error).find(
    (one) => one instanceof Error && "path" in one && folderTrouble(codeOf(one) ?? ""),
  );
  if (file instanceof Error && "path" in file) {
    const trouble = folderTrouble(codeOf(file) ?? "");
    return `${String(file.path)}: ${trouble?.why}; ${trouble?.cure}`;
  }
  const text = chain(error).join(": ");
  const trouble = connectionTrouble(error);
  return trouble ? `${text} (${trouble.why}; ${trouble.cure})` : text;
}

/** The messages of an error and of what caused it. */
function chain(error: unknown): string[] {
  if (error instanceof AggregateError && error.message === "") return chain(error.errors[0]);
  if (!(error instanceof Error)) return [wordsOf(error)];
  const own = error.message || (codeOf(error) ?? error.name);
  const below = error.cause === undefined ? [] : chain(error.cause);
  // Many an error repeats what caused it.
  return [own, ...below.filter((text) => !own.includes(text))];
}

/** Of something that was thrown and is no error: some libraries throw objects of their own. */
function wordsOf(thrown: unknown): string {
  if (typeof thrown !== "object" || thrown === null) return String(thrown);
  const { name, message, code, errno } = thrown as Readonly<Record<string, unknown>>;
  const words = [name, message, code, errno].filter((one) => typeof one === "string" || typeof one === "number");
  return words.length === 0 ? "an error without a name" : words.join(" ");
}
