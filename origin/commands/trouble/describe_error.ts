import { ConfigError, formatProblem } from "../../config/checks/config_error.ts";
import { type Dependency, FolderTakenError, StartTrouble } from "../../platform/lifetime.ts";
import { codeOf, connectionTrouble, type Trouble, withCauses } from "./connection_trouble.ts";
import { databaseTrouble, schemaTrouble } from "./database_trouble.ts";
import { folderTrouble, METRICS_PORT, ORIGIN_PORT, portTrouble } from "./local_trouble.ts";

/** Errors of a command, in words for the operator. */

/** A command cannot do its work. The message says why, and what to do. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

/** Describes an error to the operator, in one or more lines, without stack traces. */
export function describeError(error: unknown): string[] {
  if (error instanceof ConfigError) return error.problems.map(formatProblem);
  if (error instanceof CommandError) return [error.message];
  if (error instanceof StartTrouble) return [explainStart(error)];
  const told = withCauses(error).find((one) => one instanceof StartTrouble || one instanceof CommandError);
  return told ? describeError(told) : [`cannot go on: ${explainAny(error)}`];
}

/** By dependency of the start: its name in messages, the known causes of its errors, and the advice for unknown ones. */
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

/** Any other error: of a file, of a connection, or unknown. */
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
  // Many errors repeat the message of their cause.
  return [own, ...below.filter((text) => !own.includes(text))];
}

/** Describes a thrown value that is not an `Error`: some libraries throw plain objects. */
function wordsOf(thrown: unknown): string {
  if (typeof thrown !== "object" || thrown === null) return String(thrown);
  const { name, message, code, errno } = thrown as Readonly<Record<string, unknown>>;
  const words = [name, message, code, errno].filter((one) => typeof one === "string" || typeof one === "number");
  return words.length === 0 ? "an error without a name" : words.join(" ");
}
