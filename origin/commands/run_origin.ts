import { type ConfigProblem, formatProblem } from "../config/checks/config_error.ts";
import { watchConfig } from "../config/files/watch.ts";
import type { Config } from "../config/schema.ts";
import { raceAbort } from "../platform/time.ts";
import { demandKeys } from "./demand_keys.ts";
import { embeddedNotice } from "./dev/embedded_notice.ts";
import type { Say } from "./say.ts";
import { type LaunchOptions, loadSettings, type Settings } from "./settings.ts";
import { aborted } from "./stop_signal.ts";
import { explain } from "./trouble/explain.ts";
import { demandFolder, demandPorts, foldersOf } from "./trouble/preflight.ts";
import type { UnexpectedErrors } from "./unexpected_errors.ts";

/** An origin that was built. */
export interface RunnableApp {
  listen(): Promise<{ address: string }>;
  close(): Promise<void>;
  /** What an operator should know of now: a line each. */
  notices?(): readonly string[];
  /** Takes over a changed configuration; resolves with the keys that hold only after a restart. */
  reconfigure?(config: Config): Promise<readonly string[]>;
  /** Logs and counts an error that nobody has foreseen. */
  unexpected?(error: unknown): void;
}

/** What running an origin needs from outside. */
export interface OriginParts {
  readonly build: (config: Config) => Promise<RunnableApp>;
  readonly say: Say;
  readonly makeSecret: () => string;
  /** Aborted when the process is asked to end. */
  readonly stop: AbortSignal;
  readonly unexpected: Pick<UnexpectedErrors, "happened" | "reportTo">;
  /** Somebody else has said already what there is to say of the configuration. */
  readonly quiet: boolean;
  /** The process above has opened the port, and shares it. */
  readonly isWorker?: boolean;
}

/** Closing gets so long, in milliseconds: more than it should need, and less than whoever stops us has patience. */
const CLOSE_MS = 18_000;

/** The exit code after an error that nobody has foreseen (`EX_SOFTWARE` of sysexits.h). What keeps us from starting has 1. */
const UNEXPECTED = 70;

/**
 * Runs an origin until it is asked to end, or something happens that nobody has foreseen. Resolves with the exit code; what keeps
 * it from starting, it says itself.
 */
export async function runOrigin(options: LaunchOptions, parts: OriginParts): Promise<number> {
  const { say, stop, unexpected } = parts;
  try {
    const settings = await demandKeys(await loadSettings(options, parts.makeSecret));
    if (!parts.quiet) announce(settings, say);
    if (!parts.isWorker) await demandPorts(settings.config);
    for (const folder of foldersOf(settings.config)) await demandFolder(folder);
    const app = await raceAbort(parts.build(settings.config), unexpected.happened);
    unexpected.reportTo((error) => app.unexpected?.(error));
    try {
      const { address } = await app.listen();
      if (!parts.quiet) say.line(`the origin answers at ${address}`);
      for (const notice of app.notices?.() ?? []) say.warn(`warning: ${notice}`);
      const watch = settings.path === undefined ? undefined : await follow(settings.path, settings, app, say);
      await aborted(AbortSignal.any([stop, unexpected.happened]));
      watch?.close();
    } finally {
      await Promise.race([app.close(), aborted(AbortSignal.timeout(CLOSE_MS))]);
    }
    return unexpected.happened.aborted ? UNEXPECTED : 0;
  } catch (error) {
    if (unexpected.happened.aborted) return UNEXPECTED;
    if (stop.aborted) return 0;
    for (const line of explain(error)) say.warn(line);
    return 1;
  }
}

/** Says once what there is to say of a configuration. */
export function announce(settings: Settings, say: Say): void {
  if (settings.path !== undefined) say.line(`configuration: ${settings.path}`);
  for (const warning of settings.warnings) say.warn(`warning: ${formatProblem(warning)}`);
  const notice = embeddedNotice(settings.config);
  if (notice !== undefined) say.line(notice);
}

function follow(path: string, settings: Settings, app: RunnableApp, say: Say): Promise<{ close(): void }> {
  let said = new Set(settings.warnings.map(gist));
  return watchConfig(path, {
    known: settings.known,
    load: async () => demandKeys(await settings.reload()),
    async onChange({ config, warnings }) {
      for (const warning of warnings.filter((one) => !said.has(gist(one)))) {
        say.warn(`warning: ${formatProblem(warning)}`);
      }
      said = new Set(warnings.map(gist));
      if (!app.reconfigure) return say.warn("the configuration has changed: restart to make it hold");
      const keys = await app.reconfigure(config);
      const rest = keys.length === 0 ? "" : `, but for ${keys.join(", ")}: that needs a restart`;
      say.line(`the changed configuration holds now${rest}`);
    },
    onBroken: (error) => say.warn(`the changed configuration is not used: ${explain(error).join("; ")}`),
    onFailed: (error) => {
      const why = explain(error).join("; ");
      say.warn(`the changed configuration does not hold, or not everywhere; it is tried again: ${why}`);
    },
  });
}

/** What a warning says, wherever it stands by now. */
function gist({ file, key, message }: ConfigProblem): string {
  return `${key || file} ${message}`;
}
