import { spawnSync } from "node:child_process";
import type { Wire } from "../../support/wire.ts";
import { pause } from "./clients.ts";
import { allProcesses, descriptors } from "./processes.ts";
import type { Service } from "./service.ts";

/** What befalls the service while the rude clients go on: one thing after the other, and a pause after each. */

/** One thing that goes wrong for some time; it is over when `over` is. */
export interface Attack {
  readonly name: string;
  run(over: AbortSignal): Promise<void>;
}

const CUT_EVERY_MS = 400;
const KILL_EVERY_MS = 200;
/** So many descriptors are left to the origin. */
const FEW = 16;

/** All that can be done to this service; what it does not stand on cannot fail. */
export function attacksOn(service: Service): Attack[] {
  const { store, postgres, redis } = service.wires;
  return [
    ...(store ? [{ name: "the store's connections are cut again and again", run: cutAgainAndAgain(store) }] : []),
    { name: "the origin has few descriptors left", run: (over) => fewDescriptors(service, over) },
    { name: "decoders are killed", run: (over) => killDecoders(service, over) },
    ...(postgres ? [{ name: "Postgres is away", run: away(postgres) }] : []),
    ...(postgres ? [{ name: "Postgres falls silent", run: silent(postgres) }] : []),
    ...(redis ? [{ name: "Redis is away", run: away(redis) }] : []),
    ...(redis ? [{ name: "Redis falls silent", run: silent(redis) }] : []),
  ];
}

function cutAgainAndAgain(wire: Wire): Attack["run"] {
  return async (over) => {
    while (!over.aborted) {
      await pause(CUT_EVERY_MS, over);
      wire.cut();
      wire.mend();
    }
  };
}

function away(wire: Wire): Attack["run"] {
  return async (over) => {
    wire.cut();
    await untilOver(over);
    wire.mend();
  };
}

function silent(wire: Wire): Attack["run"] {
  return async (over) => {
    wire.silence();
    await untilOver(over);
    // Who still waits on a silent connection hears of its end.
    wire.cut();
    wire.mend();
  };
}

async function fewDescriptors(service: Service, over: AbortSignal): Promise<void> {
  const origin = allProcesses(service.command.pid).find(({ name }) => name === "main.ts");
  if (!origin) throw new Error("the origin does not run");
  const open = Object.values(descriptors(origin.pid)).reduce((sum, one) => sum + one, 0);
  const before = limitOf(origin.pid);
  setLimit(origin.pid, `${open + FEW}:${before}`);
  await untilOver(over);
  setLimit(origin.pid, `${before}:${before}`);
}

async function killDecoders(service: Service, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    for (const { pid, name } of allProcesses(service.command.pid)) {
      if (name === "decoder_process.ts") kill(pid);
    }
    await pause(KILL_EVERY_MS, over);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

function limitOf(pid: number): string {
  const told = spawnSync("prlimit", ["--pid", String(pid), "--nofile", "--output", "HARD", "--noheadings"]);
  return told.stdout?.toString().trim() || "1048576";
}

function setLimit(pid: number, limit: string): void {
  const { status, stderr } = spawnSync("prlimit", ["--pid", String(pid), `--nofile=${limit}`]);
  if (status !== 0) throw new Error(`prlimit: ${stderr}`);
}

function untilOver(over: AbortSignal): Promise<void> {
  return pause(2 ** 30, over);
}
