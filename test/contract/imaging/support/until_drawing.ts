import { readFileSync } from "node:fs";
import { until } from "../../../support/until.ts";

const TICKS_PER_SECOND = 100;
const TICKS = TICKS_PER_SECOND / 10;

/**
 * Waits until a decoder that was warm has worked for a tenth of a second more: it was asked, and draws. Wants /proc, and
 * something slow to draw.
 */
export async function untilDrawing(pid: number): Promise<void> {
  const begun = ticksOf(pid);
  await until(() => ticksOf(pid) - begun >= TICKS, "the decoder draws");
}

/** Waits until a decoder, be it new, has worked for a second: it has long started, and draws. Wants /proc, and something slow to draw. */
export async function untilLongDrawing(pid: number): Promise<void> {
  await until(() => ticksOf(pid) >= TICKS_PER_SECOND, "the decoder draws");
}

/** The processor time that a process has had. */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
}
