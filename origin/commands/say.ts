/** Where a command says what it does: a line each. */
export interface Say {
  /** Progress and results. */
  line(text: string): void;
  /** What the operator should know, or do something about. */
  warn(text: string): void;
  /** Says it as it is: text of several lines, or what another process of ours has said. */
  raw(text: string): void;
  /** The same for what it has said on its standard error. */
  rawWarn(text: string): void;
}

/** Says it on the standard output and the standard error, each line with the program's name, or with whoever it is of ours. */
export function sayOn(
  streams: { readonly stdout: NodeJS.WritableStream; readonly stderr: NodeJS.WritableStream },
  who = "mxcdn",
): Say {
  return {
    line: (text) => void streams.stdout.write(`${who}: ${text}\n`),
    warn: (text) => void streams.stderr.write(`${who}: ${text}\n`),
    raw: (text) => void streams.stdout.write(text),
    rawWarn: (text) => void streams.stderr.write(text),
  };
}
