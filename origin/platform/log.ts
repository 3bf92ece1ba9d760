import { pino } from "pino";

/** What a part of the origin may say of itself. Facts go into `fields`; nothing secret is ever among them. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Log;
}

/** How the log is written: at which level, as JSON or as plain lines, and where. */
export interface LogOptions {
  level: "silent" | "fatal" | "error" | "warn" | "info" | "debug" | "trace";
  json: boolean;
  write: (line: string) => void;
}

/** A log of pino's. `json: false` prints `time LEVEL message key=value …`, one line an entry. */
export function makeLog(options: LogOptions): Log {
  const write = options.json ? options.write : (line: string) => options.write(plainLine(line));
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: ["token", "*.token", "authorization", "*.authorization", "secret", "*.secret"],
      serializers: { error: pino.stdSerializers.errWithCause },
    },
    { write },
  );
}

/** A log that says nothing. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
};

function plainLine(line: string): string {
  const { time, level, msg, error, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
  const cause = error === undefined ? "" : ` error=${JSON.stringify(describe(error))}`;
  return `${time} ${String(level).toUpperCase()} ${msg}${pairs.join("")}${cause}\n`;
}

/** The innermost cause is what went wrong; what was made of it on the way up adds nothing. */
function describe(error: unknown): string {
  const { type, message, stack, cause } = error as { type?: string; message?: string; stack?: string; cause?: unknown };
  return cause === undefined ? (stack ?? `${type}: ${message}`) : describe(cause);
}
