import { type Load, percentile } from "./load.ts";
import { cpuSeconds, watchPeak } from "./process_tree.ts";

/** Lets targets take turns at one work, so that a noisy machine is noisy for all, and prints their rates and ratios. */

/** Something that does the work. */
export interface Target {
  readonly name: string;
  /** The process whose tree's costs are counted. */
  readonly pid: number;
  /** A bare server or script: the others are compared with it. */
  readonly isBare?: boolean;
  run(ms: number): Promise<Load>;
}

/** What is measured. */
export interface Work {
  readonly name: string;
  readonly targets: readonly Target[];
}

const ROUNDS = 3;
const ROUND_MS = 3_000;

interface Round extends Load {
  readonly cpuSeconds: number;
  readonly peakBytes: number;
}

export async function compare({ name, targets }: Work, print: (line: string) => void): Promise<void> {
  print(`\n${name}`);
  print(`  ${"".padEnd(44)}      rate   CPU s/1000      p50      p99   peak PSS`);
  const rounds = new Map<Target, Round[]>(targets.map((target) => [target, []]));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const target of targets) rounds.get(target)?.push(await measure(target));
  }
  const rateOf = (target: Target) => middle(rounds.get(target) ?? [], (one) => one.requests / one.seconds);
  const bare = targets.filter((target) => target.isBare);
  for (const target of targets) {
    const own = rounds.get(target) ?? [];
    const ratios = target.isBare
      ? []
      : bare.map((one) => `${(rateOf(target) / rateOf(one)).toFixed(2)} of ${one.name}`);
    print(`  ${row(target.name, own)}${ratios.length > 0 ? `   ${ratios.join(", ")}` : ""}`);
  }
}

async function measure(target: Target): Promise<Round> {
  const before = cpuSeconds(target.pid);
  const peak = watchPeak(target.pid);
  const load = await target.run(ROUND_MS);
  return { ...load, cpuSeconds: cpuSeconds(target.pid) - before, peakBytes: peak.stop() };
}

function row(name: string, rounds: readonly Round[]): string {
  const cpu = middle(rounds, (one) => (one.cpuSeconds / Math.max(1, one.requests)) * 1000);
  const failures = rounds.reduce((sum, one) => sum + one.failures, 0);
  const cells = [
    `${middle(rounds, (one) => one.requests / one.seconds).toFixed(1)}/s`.padStart(12),
    cpu.toFixed(2).padStart(10),
    `${middle(rounds, (one) => one.p50).toFixed(1)} ms`.padStart(12),
    `${middle(rounds, (one) => one.p99).toFixed(1)} ms`.padStart(10),
    `${Math.round(Math.max(...rounds.map((one) => one.peakBytes)) / 1e6)} MB`.padStart(8),
  ];
  return `${name.padEnd(44)}${cells.join(" ")}${failures > 0 ? `   ${failures} FAILED` : ""}`;
}

function middle(rounds: readonly Round[], value: (round: Round) => number): number {
  return percentile(rounds.map(value), 0.5);
}
