import { readFileSync } from "node:fs";

/** The resident memory of a process in bytes; `undefined` where nobody tells (no /proc) or when the process has gone. */
export type ReadResidentBytes = (pid: number) => number | undefined;

/** From Linux' /proc. `status` and not `statm`, which counts in pages of a size that differs between machines. */
export const readResidentBytes: ReadResidentBytes = (pid) => {
  try {
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
  } catch {
    return undefined;
  }
};
