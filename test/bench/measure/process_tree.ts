import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** What a process and all that it has started cost, read from `/proc`. */

/** Ticks of the processor's clock in a second, as Linux tells them to programs. */
const TICKS = 100;
const SAMPLE_MS = 100;

/** Processor time of a process and its descendants so far, in seconds. */
export function cpuSeconds(pid: number): number {
  const ticks = treeOf(pid).map(({ fields }) =>
    [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0),
  );
  return ticks.reduce((sum, one) => sum + one, 0) / TICKS;
}

/** Memory of a process and its descendants in bytes; what several share counts once among them. */
export function pssBytes(pid: number): number {
  return treeOf(pid).reduce((sum, one) => sum + pssOf(one.pid), 0);
}

/** Watches memory until it is stopped, and tells its highest in bytes. */
export function watchPeak(pid: number): { stop(): number } {
  let peak = pssBytes(pid);
  const timer = setInterval(() => {
    peak = Math.max(peak, pssBytes(pid));
  }, SAMPLE_MS);
  return {
    stop() {
      clearInterval(timer);
      return Math.max(peak, pssBytes(pid));
    },
  };
}

/** The processes of a program that a process has started itself. */
export function childrenOf(pid: number, program: string): number[] {
  const children = allProcesses().filter((one) => one.parent === pid);
  return children.map((one) => one.pid).filter((child) => readText(`/proc/${child}/comm`).trim() === program);
}

/** The process that listens at a TCP port of loopback; `undefined` where none is to be seen. */
export function findListener(port: number): number | undefined {
  const inodes = new Set(["tcp", "tcp6"].flatMap((name) => listeningInodes(name, port)));
  if (inodes.size === 0) return undefined;
  return allProcesses().find(({ pid }) => socketsOf(pid).some((inode) => inodes.has(inode)))?.pid;
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  /** What stands in `stat` from the state on: processor times are at 11 to 14. */
  readonly fields: readonly string[];
}

function treeOf(pid: number): Process[] {
  const all = allProcesses();
  const found = all.filter((one) => one.pid === pid);
  for (const one of found) found.push(...all.filter((other) => other.parent === one.pid));
  return found;
}

function allProcesses(): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const stat = readText(`/proc/${name}/stat`);
      // A program's name may hold anything, brackets too.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return stat === "" ? [] : [{ pid: Number(name), parent: Number(fields[1]), fields }];
    });
}

function pssOf(pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(readText(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0) * 1024;
}

function listeningInodes(name: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = readText(`/proc/net/${name}`)
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  return rows.filter((row) => row[1]?.endsWith(suffix) && row[3] === "0A").map((row) => row[9] ?? "");
}

function socketsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).flatMap(
      (name) => /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${name}`))?.[1] ?? [],
    );
  } catch {
    // It has ended, or is somebody else's.
    return [];
  }
}

/** The text of a file of `/proc`; empty once its process is gone. */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
