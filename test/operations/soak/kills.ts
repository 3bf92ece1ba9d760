import { ask } from "../../support/http.ts";
import { until } from "../../support/until.ts";
import { pause } from "./clients.ts";
import { allProcesses } from "./processes.ts";
import type { Random } from "./random.ts";
import type { Service } from "./service.ts";

/** `kill -9` of a random process of the service, again and again. */

/** How the kills went. */
export interface Killed {
  /** Of each: how long until both tiers answered again, in milliseconds. */
  readonly tookMs: number[];
  readonly violations: string[];
}

const BACK_MS = 60_000;

/** Whether a tier is being started again at the moment. */
export class Kills {
  readonly killed: Killed = { tookMs: [], violations: [] };
  #underWay = false;

  get underWay(): boolean {
    return this.#underWay;
  }

  /** Kills so many times, spread over the time that is left. */
  async run(service: Service, random: Random, times: number, durationMs: number, over: AbortSignal): Promise<void> {
    for (let count = 0; count < times && !over.aborted; count += 1) {
      await pause((durationMs / times) * (0.5 + random.next() / 2), over);
      if (over.aborted) return;
      const victims = allProcesses(service.command.pid).filter(({ pid }) => pid !== service.command.pid);
      const victim = random.pick(victims);
      const began = performance.now();
      this.#underWay = true;
      try {
        process.kill(victim.pid, "SIGKILL");
        await pause(20, over);
        const tiers = [service.origin, service.edge];
        await until(() => allAnswer(tiers), `${victim.name} was killed, and both answer`, { withinMs: BACK_MS });
        this.killed.tookMs.push(performance.now() - began);
      } catch (error) {
        this.killed.violations.push(`after the kill of ${victim.name}: ${(error as Error).message}`);
        return;
      } finally {
        this.#underWay = false;
      }
    }
  }
}

async function allAnswer(tiers: readonly string[]): Promise<boolean> {
  const statuses = await Promise.all(
    tiers.map((tier) =>
      ask(tier, "/healthz").then(
        ({ status }) => status,
        () => 0,
      ),
    ),
  );
  return statuses.every((status) => status === 200);
}
