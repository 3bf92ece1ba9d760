import { type ConfigProblem, formatProblem } from "../config/checks/config_error.ts";
import { watchConfig } from "../config/files/watch.ts";
import type { Config } from "../config/schema.ts";
import { raceAbort } from "../platform/time.ts";
import { aborted, type Output, type ServiceContext, type UnexpectedErrors } from "./program.ts";
import { loadSettings, requireKeys, type Settings, type SettingsOptions } from "./settings.ts";
import { describeError } from "./trouble/describe_error.ts";
import { foldersOf, requireFolder, requirePorts } from "./trouble/preflight.ts";

/** An origin of one process: checks what it needs, builds and serves it, and applies configuration changes until the end. */

/** An origin that was built. */
export interface RunnableApp {
  listen(): Promise<{ address: string }>;
  close(): Promise<void>;
  /** What an operator should know at the moment: a line each. */
  notices?(): readonly string[];
  /** Applies a changed configuration; resolves with the keys that need a restart. */
  reconfigure?(config: Config): Promise<readonly string[]>;
  /** Logs and counts an error that nothing caught. */
  unexpected?(error: unknown): void;
}

/** What running an origin needs from its process. */
export interface OriginContext extends Pick<ServiceContext, "output" | "stop"> {
  readonly build: (config: Config) => Promise<RunnableApp>;
  readonly unexpected: Pick<UnexpectedErrors, "happened" | "reportTo">;
  /** The parent process has printed the notes on the configuration already. */
  readonly quiet: boolean;
  /** The process above has opened the port, and shares it. */
  readonly isWorker?: boolean;
}

/** The limit for closing, in milliseconds: more than it should need, less than service managers wait before they kill. */
const CLOSE_MS = 18_000;

/** The exit code after an error that nothing caught (`EX_SOFTWARE` of sysexits.h). A failed start has 1. */
const UNEXPECTED = 70;

/**
 * Runs an origin until it is asked to end, or until an error that nothing caught. Resolves with the exit code; prints by itself
 * why it cannot start.
 */
export async function runOrigin(options: SettingsOptions, context: OriginContext): Promise<number> {
  const { output, stop, unexpected } = context;
  try {
    const settings = await requireKeys(await loadSettings(options));
    if (!context.quiet) announce(settings, output);
    if (!context.isWorker) await requirePorts(settings.config);
    for (const folder of foldersOf(settings.config)) await requireFolder(folder);
    const app = await raceAbort(context.build(settings.config), unexpected.happened);
    unexpected.reportTo((error) => app.unexpected?.(error));
    try {
      const { address } = await app.listen();
      if (!context.quiet) output.line(`the origin answers at ${address}`);
      for (const notice of app.notices?.() ?? []) output.warn(`warning: ${notice}`);
      const watch = settings.path === undefined ? undefined : await follow(settings.path, settings, app, output);
      await aborted(AbortSignal.any([stop, unexpected.happened]));
      watch?.close();
    } finally {
      await Promise.race([app.close(), aborted(AbortSignal.timeout(CLOSE_MS))]);
    }
    return unexpected.happened.aborted ? UNEXPECTED : 0;
  } catch (error) {
    if (unexpected.happened.aborted) return UNEXPECTED;
    if (stop.aborted) return 0;
    for (const line of describeError(error)) output.warn(line);
    return 1;
  }
}

/** Prints where the configuration comes from, and its warnings. */
export function announce(settings: Settings, output: Output): void {
  if (settings.path !== undefined) output.line(`configuration: ${settings.path}`);
  for (const warning of settings.warnings) output.warn(`warning: ${formatProblem(warning)}`);
  const notice = embeddedNotice(settings.config);
  if (notice !== undefined) output.line(notice);
}

/** What to say once at start where the embedded database is used; `undefined` where PostgreSQL is. */
function embeddedNotice(config: Config): string | undefined {
  if (config.database.postgres !== "") return undefined;
  return (
    `the database is the embedded one in ${config.database.folder}: good for trying, developing and one small server. ` +
    "It survives a crash of the process, not a power failure; for more, set database.postgres"
  );
}

function follow(path: string, settings: Settings, app: RunnableApp, output: Output): Promise<{ close(): void }> {
  let said = new Set(settings.warnings.map(gist));
  return watchConfig(path, {
    known: settings.known,
    load: async () => requireKeys(await settings.reload()),
    async onChange({ config, warnings }) {
      for (const warning of warnings.filter((one) => !said.has(gist(one)))) {
        output.warn(`warning: ${formatProblem(warning)}`);
      }
      said = new Set(warnings.map(gist));
      if (!app.reconfigure) return output.warn("configuration changed: it needs a restart");
      const keys = await app.reconfigure(config);
      const rest = keys.length === 0 ? "" : `; these keys need a restart: ${keys.join(", ")}`;
      output.line(`changed configuration applied${rest}`);
    },
    onBroken: (error) =>
      output.warn(
        `changed configuration rejected, the previous one stays in force: ${describeError(error).join("; ")}`,
      ),
    onFailed: (error) => {
      const why = describeError(error).join("; ");
      output.warn(`changed configuration not applied, or not everywhere; will retry: ${why}`);
    },
  });
}

/** A warning without its place in the file. */
function gist({ file, key, message }: ConfigProblem): string {
  return `${key || file} ${message}`;
}
