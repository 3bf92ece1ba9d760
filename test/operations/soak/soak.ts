import { until } from "../../support/until.ts";
import { attacksOn } from "./attack.ts";
import { Clients, pause } from "./clients.ts";
import { Kills } from "./kills.ts";
import { descriptors, lastingProcesses, memoryOf, type Process, temporaryFiles } from "./processes.ts";
import { Random } from "./random.ts";
import type { Service } from "./service.ts";

/**
 * Rude clients for a while, and then the account: whoever was there is there still, nothing is left over, and all that was
 * acknowledged is kept.
 */

/** How long and how hard. */
export interface SoakOptions {
  readonly seed: number;
  readonly durationMs: number;
  /** Before the first account is taken, so that caches and pools have their size. */
  readonly warmUpMs: number;
  readonly lanes: number;
  readonly crowd: number;
  readonly kills: number;
  /** Of each attack, in milliseconds; 0: there is none. */
  readonly attackMs: number;
  readonly photo: Buffer;
  readonly print: (line: string) => void;
}

/** Descriptors that a process may have more of at the end: idle connections to its neighbours, which it keeps. */
const DESCRIPTOR_SLACK = 24;
/** Longer than an idle connection is kept. */
const QUIET_MS = 100_000;
/** Of memory at the end to that of the middle of the load. */
const MEMORY_RATIO = 1.4;
const MEMORY_SLACK = 64 * 1024 * 1024;
const WITHIN_MS = 3_000;
/** As soon as they are known; all are in the account. */
const SHOWN = 10;
/** After an attack what was away is found again. */
const RECOVERY_MS = 15_000;

/** Runs it; resolves with what is wrong, in lines. */
export async function soak(service: Service, options: SoakOptions): Promise<string[]> {
  const { print, durationMs, warmUpMs } = options;
  const { pid } = service.command;
  const random = new Random(options.seed);
  const kills = new Kills();
  let attacked = false;
  const clients = new Clients({
    ...{ tiers: [service.edge, service.origin], token: service.token, photo: options.photo, random },
    ...{ lanes: options.lanes, crowd: options.crowd, crowdEveryMs: 2_000, forgiving: () => kills.underWay || attacked },
  });
  const violations: string[] = [];
  const ended = service.command.ended.then(() => true);
  const isOver = await Promise.race([ended, clients.askEverything().then(() => false)]);
  if (isOver) return [...died(service), ...clients.seen.violations];

  if (!(await load(clients, warmUpMs, ended))) return died(service);
  await quiet(service);
  const before = account(service);
  const pids = lastingProcesses(pid);
  print(`before: ${tell(before)}`);

  for (const attack of options.attackMs > 0 ? attacksOn(service) : []) {
    print(`attack: ${attack.name}`);
    attacked = true;
    const over = new AbortController();
    const attacking = attack.run(over.signal);
    const isUp = await load(clients, options.attackMs, ended);
    over.abort();
    await attacking;
    if (!isUp) return [...died(service), ...clients.seen.violations.slice(0, 20)];
    const recovered = await load(clients, RECOVERY_MS, ended);
    attacked = false;
    if (!recovered) return [...died(service), ...clients.seen.violations.slice(0, 20)];
    const faults = clients.seen.violations.length;
    await clients.askEverything();
    for (const line of clients.seen.violations.slice(faults)) print(`not right after that: ${line}`);
    violations.push(...replaced(pids, lastingProcesses(pid)).map((line) => `${attack.name}: ${line}`));
  }

  const over = new AbortController();
  const killing = kills.run(service, random, options.kills, durationMs, over.signal);
  const half = await load(clients, durationMs / 2, ended);
  const middle = memoryOf(pid);
  const whole = half && (await load(clients, durationMs / 2, ended));
  const end = memoryOf(pid);
  over.abort();
  if (!whole) return [...died(service), ...clients.seen.violations.slice(0, 20)];
  await killing;
  violations.push(...kills.killed.violations);
  for (const line of clients.seen.violations.slice(0, SHOWN)) print(`not right: ${line}`);
  print(`requests: ${[...clients.seen.endings].map(([name, count]) => `${name} ${count}`).join(", ")}`);
  print(
    `memory in MB: ${[before.memory, middle, end].map(megabytes).join(", ")} (start, middle, end), ratio ${(end / middle).toFixed(2)}`,
  );
  if (end > middle * MEMORY_RATIO + MEMORY_SLACK)
    violations.push(`memory grows: ${megabytes(middle)} to ${megabytes(end)} MB`);
  violations.push(...slowReturns(kills.killed.tookMs, print));

  if (options.kills === 0) violations.push(...replaced(pids, lastingProcesses(pid)));
  violations.push(...(await leftOver(service, before, options.kills > 0)));
  print(`after:  ${tell(account(service))}`);
  await clients.askEverything();
  print(`acknowledged uploads: ${clients.seen.acknowledged.length}`);
  for (const base of [service.origin, service.edge]) await clients.verifyStored(base);
  return [...violations, ...clients.seen.violations];
}

/** False when the service has ended meanwhile. */
async function load(clients: Clients, ms: number, ended: Promise<boolean>): Promise<boolean> {
  const over = new AbortController();
  const running = clients.run(over.signal);
  const isEnded = await Promise.race([ended, pause(ms, over.signal).then(() => false)]);
  over.abort();
  if (!isEnded) await running;
  return !isEnded;
}

interface Account {
  readonly memory: number;
  readonly processes: readonly (Process & { readonly descriptors: Record<string, number> })[];
  readonly files: readonly string[];
}

function account(service: Service): Account {
  const { pid } = service.command;
  return {
    memory: memoryOf(pid),
    processes: lastingProcesses(pid).map((one) => ({ ...one, descriptors: descriptors(one.pid) })),
    files: temporaryFiles(service.folder),
  };
}

function tell({ processes, files }: Account): string {
  const each = processes.map(({ name, pid, descriptors: open }) => `${name} (${pid}) ${total(open)} descriptors`);
  return `${each.join(", ")}; ${files.length} temporary files`;
}

/** Waits until what only takes its time is over. */
async function quiet(service: Service): Promise<void> {
  const isQuiet = async () =>
    temporaryFiles(service.folder).length === 0 && ((await service.busyConnections?.()) ?? 0) === 0;
  await until(isQuiet, "it becomes quiet", { withinMs: QUIET_MS }).catch(() => undefined);
}

async function leftOver(service: Service, before: Account, wereKilled: boolean): Promise<string[]> {
  const look = async () => {
    const now = account(service);
    const busy = (await service.busyConnections?.()) ?? 0;
    // What a process leaves that was killed in the midst of an upload is for the job that clears these folders, a day later.
    const files = wereKilled ? [] : now.files.filter((file) => !before.files.includes(file));
    return [
      ...files.map((file) => `a temporary file is left: ${file}`),
      ...now.processes.flatMap((one) => moreDescriptors(one, before, wereKilled)),
      ...(busy > 0 ? [`${busy} database connections are still at work`] : []),
    ];
  };
  await until(async () => (await look()).length === 0, "nothing is left over", { withinMs: QUIET_MS }).catch(
    () => undefined,
  );
  return await look();
}

function moreDescriptors(now: Account["processes"][number], before: Account, wereKilled: boolean): string[] {
  const was = before.processes.find(({ pid, name }) => (wereKilled ? name === now.name : pid === now.pid));
  if (!was || total(now.descriptors) <= total(was.descriptors) + DESCRIPTOR_SLACK) return [];
  return [
    `${now.name} has more descriptors: ${JSON.stringify(was.descriptors)} before, ${JSON.stringify(now.descriptors)} now`,
  ];
}

function replaced(before: readonly Process[], now: readonly Process[]): string[] {
  const gone = before.filter(({ pid }) => !now.some((one) => one.pid === pid));
  return gone.map(({ name, pid }) => `${name} (${pid}) has ended`);
}

function slowReturns(tookMs: readonly number[], print: (line: string) => void): string[] {
  if (tookMs.length === 0) return [];
  const sorted = tookMs.toSorted((a, b) => a - b);
  const [middle = 0, last = 0] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
  print(
    `${tookMs.length} kills; both tiers answered again after ${Math.round(middle)} ms (median), ${Math.round(last)} ms (longest)`,
  );
  const slow = sorted.filter((ms) => ms > WITHIN_MS).length;
  return slow > 0 ? [`${slow} of ${tookMs.length} kills took more than ${WITHIN_MS} ms`] : [];
}

function died(service: Service): string[] {
  return [
    `the service has ended; it said last:\n${service.command.said().trimEnd().split("\n").slice(-15).join("\n")}`,
  ];
}

function total(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, one) => sum + one, 0);
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
