/** Something in the configuration, and where it stands. */
export interface ConfigProblem {
  readonly file: string;
  /** Counted from 1; 0 where the whole file is meant. */
  readonly line: number;
  /** The key with its sections, `uploads.quotas.users[0].glob`; empty where a whole file is meant. */
  readonly key: string;
  readonly message: string;
}

/** The configuration cannot be used. `problems` says all that is wrong with it; the message is one of their lines each. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.problems = problems;
  }
}

/** `file:line: key: message`, as compilers write it. */
export function formatProblem({ file, line, key, message }: ConfigProblem): string {
  const place = line === 0 ? file : `${file}:${line}`;
  return `${place}: ${key === "" ? "" : `${key} `}${message}`;
}

/** A path into the configuration as people write it: `homeservers[0].csApi`. */
export function formatKey(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    return text === "" ? String(part) : `${text}.${String(part)}`;
  }, "");
}
