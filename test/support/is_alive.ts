import { existsSync, readFileSync } from "node:fs";

/** Whether a process runs. One that has ended but that nobody asked about yet (an orphan's) does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !existsSync("/proc/self/stat") || !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return false;
  }
}
