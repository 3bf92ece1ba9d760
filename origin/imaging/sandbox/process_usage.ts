import { readFileSync } from "node:fs";

/** What a process takes: resident bytes now, and the milliseconds of processor time that it has had in all. */
export interface ProcessUsage {
  readonly residentBytes: number;
  readonly cpuMs: number;
}

/** Reads what a process takes; `undefined` where nobody tells (no /proc) or when the process has gone. */
export type ReadProcessUsage = (pid: number) => ProcessUsage | undefined;

/** `USER_HZ`, which is the same wherever Node runs on Linux. */
const TICK_MS = 10;

/** From Linux' /proc. `status` and not `statm`, which counts in pages of a size that differs between machines. */
export const readProcessUsage: ReadProcessUsage = (pid) => {
  try {
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
    // After the name, which may hold anything: user and system time are the 12th and 13th field (proc_pid_stat(5)).
    const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)?.split(" ");
    const ticks = Number(fields?.[11]) + Number(fields?.[12]);
    if (kibibytes === undefined || Number.isNaN(ticks)) return undefined;
    return { residentBytes: Number(kibibytes) * 1024, cpuMs: ticks * TICK_MS };
  } catch {
    return undefined;
  }
};
