import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { descendants } from "../launch/spawn_cli.ts";

/** What the processes of a running service hold, as Linux tells. */

/** One process. */
export interface Process {
  readonly pid: number;
  /** The script or program that it runs. */
  readonly name: string;
}

/** Decoders of pictures come and go as they are needed. */
const COMES_AND_GOES = "decoder_process.ts";

/** A process and all that it has started, but for decoders. */
export function lastingProcesses(pid: number): Process[] {
  return allProcesses(pid).filter(({ name }) => name !== COMES_AND_GOES);
}

/** A process and all that it has started, and theirs. */
export function allProcesses(pid: number): Process[] {
  return [pid, ...descendants(pid)].map((one) => ({ pid: one, name: nameOf(one) }));
}

/** How many descriptors a process has open, by what they are. */
export function descriptors(pid: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of list(`/proc/${pid}/fd`)) {
    const kind = kindOf(`/proc/${pid}/fd/${name}`);
    if (kind) counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/** Memory of a process and all that it has started, in bytes; what several share counts once. */
export function memoryOf(pid: number): number {
  return allProcesses(pid).reduce((sum, one) => sum + pssOf(one.pid), 0);
}

/** The files beneath a folder, whose names say that they are there for a moment only. */
export function temporaryFiles(folder: string): string[] {
  const found: string[] = [];
  for (const entry of list(folder)) {
    const path = join(folder, entry);
    if (isFolder(path)) found.push(...temporaryFiles(path));
    else if (/\.(part|copy|tmp|new)$/.test(entry) || /staging/.test(folder)) found.push(path);
  }
  return found;
}

function nameOf(pid: number): string {
  const words = read(`/proc/${pid}/cmdline`).split("\0");
  const word =
    words.find((one) => one.endsWith(".ts") || one.endsWith("workerd") || one.endsWith("cli.js")) ?? words[0];
  return word?.split("/").at(-1) ?? "";
}

function kindOf(path: string): string | undefined {
  try {
    return readlinkSync(path).replace(/:.*/, "").replace(/^\/.*/, "file");
  } catch {
    return undefined;
  }
}

function pssOf(pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0) * 1024;
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
