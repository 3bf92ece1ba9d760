import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { putPglite } from "./database.ts";
import { freePort } from "./free_port.ts";
import { ask } from "./http.ts";
import type { Lifetime } from "./lifetime.ts";

/** An origin that runs as it does in production: a process of its own, which ends of what it cannot stand. */
export interface OriginProcess {
  readonly url: string;
  readonly pid: number;
  readonly folder: string;
  readonly child: ChildProcess;
  /** All that it has said so far, on both outputs. */
  said(): string;
  /** Resolves when it has ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** Where the open files of the process and its sockets lead. */
  descriptors(): string[];
  /** The value of a metric, its lines with these labels added up. */
  metric(name: string, labels?: string): Promise<number>;
}

/** What a test may say of it. `yaml`: sections of its configuration besides database, `repo` and `metrics`. */
export interface OriginProcessOptions {
  readonly yaml: (folder: string) => string;
  /** A Postgres database of the test's own; without it PGlite in the folder. */
  readonly postgres?: string | undefined;
  readonly files?: readonly { readonly name: string; readonly text: string }[];
  /** A module of ours that is loaded before the program. */
  readonly preload?: URL;
  readonly env?: (folder: string) => Readonly<Record<string, string>>;
}

const MAIN = fileURLToPath(new URL("../../origin/main.ts", import.meta.url));

/** Starts it and resolves when it answers. It is ended with `lifetime`. */
export async function startOriginProcess(lifetime: Lifetime, options: OriginProcessOptions): Promise<OriginProcess> {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-process-"));
  lifetime.after(() => rm(folder, { recursive: true, force: true }));
  const metricsPort = await freePort();
  await configure(folder, metricsPort, options);
  const preload = options.preload ? ["--import", options.preload.href] : [];
  const child = spawn(process.execPath, [...preload, MAIN, "--config", join(folder, "config")], {
    env: { ...process.env, ...options.env?.(folder) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close").then(([code, signal]) => ({ code, signal }));
  lifetime.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  let said = "";
  const url = await new Promise<string>((resolve, reject) => {
    for (const output of [child.stdout, child.stderr]) {
      output.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        const address = /answers at (http:\S+)/.exec(said)?.[1];
        if (address !== undefined) resolve(address);
      });
    }
    child.once("close", () => reject(new Error(`the origin did not start: ${said}`)));
  });
  const pid = child.pid ?? 0;
  return {
    ...{ url, pid, folder, child, ended },
    said: () => said,
    descriptors: () => descriptorsOf(pid),
    async metric(name, labels = "") {
      const { body } = await ask(`http://127.0.0.1:${metricsPort}`, "/metrics");
      const lines = body.toString().split("\n");
      const values = lines
        .filter((line) => line.startsWith(name) && line.includes(labels))
        .map((line) => Number(line.split(" ").at(-1)));
      return values.reduce((sum, value) => sum + value, 0);
    },
  };
}

async function configure(folder: string, metricsPort: number, options: OriginProcessOptions): Promise<void> {
  if (options.postgres === undefined) await putPglite(join(folder, "db"));
  const database =
    options.postgres === undefined ? `{ folder: "${folder}/db" }` : `{ postgres: "${options.postgres}" }`;
  const main = `
repo: { bindAddress: 127.0.0.1, port: 0, logLevel: info }
metrics: { enabled: true, bindAddress: 127.0.0.1, port: ${metricsPort} }
database: ${database}
rateLimit: { enabled: false }
${options.yaml(folder)}
`;
  await mkdir(join(folder, "config"));
  for (const { name, text } of [{ name: "0.yaml", text: main }, ...(options.files ?? [])]) {
    await writeFile(join(folder, "config", name), text);
  }
}

function descriptorsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((name) => {
    try {
      return [readlinkSync(`${folder}/${name}`)];
    } catch {
      return []; // It was closed a moment ago.
    }
  });
}
