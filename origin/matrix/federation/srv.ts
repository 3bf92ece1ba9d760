import { LRUCache } from "lru-cache";
import { parseServerName } from "../../../shared/matrix/server_name.ts";
import type { Dns, SrvRecord } from "../../net/dns.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import { SingleFlight } from "../../platform/work_queue.ts";

/** Somewhere to connect to. */
export interface Target {
  /** Name, or address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Records of one name that are tried; more only help those who want to keep us busy. */
const MAX_TARGETS = 8;

const MAX_NAMES = 10_000;
/** The resolver does not tell for how long records are valid, so they are kept briefly; the lack of them too. */
const KEEP_MS = 300_000;
const KEEP_FAILURE_MS = 60_000;

/** Finds SRV records, and remembers them for a while: beyond their time, too, for when nobody can be asked again. */
export class SrvRecords {
  readonly #ask: Dns["srv"];
  readonly #clock: SteadyClock;
  readonly #known = new LRUCache<string, { readonly records: readonly SrvRecord[]; readonly untilMs: number }>({
    max: MAX_NAMES,
  });
  readonly #asking = new SingleFlight<readonly SrvRecord[]>();

  constructor({ srv, clock }: { readonly srv: Dns["srv"]; readonly clock: SteadyClock }) {
    this.#ask = srv;
    this.#clock = clock;
  }

  /** The records of a name, an empty list if there are none. `fresh`: asks again. Never throws. */
  async find(name: string, fresh = false): Promise<readonly SrvRecord[]> {
    const entry = this.#known.get(name);
    if (entry && !fresh && this.#clock() < entry.untilMs) return entry.records;
    return await this.#asking.run(name, () => this.#refresh(name, entry?.records ?? []));
  }

  async #refresh(name: string, previous: readonly SrvRecord[]): Promise<readonly SrvRecord[]> {
    try {
      const records = await this.#ask(name);
      this.#known.set(name, { records, untilMs: this.#clock() + KEEP_MS });
      return records;
    } catch {
      // Name servers that don't answer must not make a server unreachable that needs no SRV record, or had one just now.
      this.#known.set(name, { records: previous, untilMs: this.#clock() + KEEP_FAILURE_MS });
      return previous;
    }
  }
}

/**
 * The targets of SRV records in the order to try them: smallest priority first, and within one priority by chance in
 * proportion to the weights (RFC 2782). `random` gives numbers from 0 up to but not including 1. Records that point nowhere
 * (`.`), at no DNS name or at port 0 are left out.
 */
export function orderSrv(records: readonly SrvRecord[], random: () => number): Target[] {
  const usable = records.flatMap((record) => {
    const host = record.name.replace(/\.$/, "");
    const isName = parseServerName(host)?.kind === "dns" && !host.includes(":");
    return isName && record.port > 0 && record.port < 65_536 ? [{ ...record, name: host }] : [];
  });
  const priorities = [...new Set(usable.map((record) => record.priority))].sort((a, b) => a - b);
  const ordered = priorities.flatMap((priority) =>
    shuffle(
      usable.filter((one) => one.priority === priority),
      random,
    ),
  );
  return ordered.slice(0, MAX_TARGETS).map(({ name, port }) => ({ host: name, port }));
}

function shuffle(records: readonly SrvRecord[], random: () => number): SrvRecord[] {
  // Weight 0 first, so that it has its small chance (RFC 2782, "Weight").
  const left = [...records].sort((a, b) => a.weight - b.weight);
  const ordered: SrvRecord[] = [];
  while (left.length > 0) {
    const point = random() * left.reduce((sum, record) => sum + record.weight, 0);
    let passed = 0;
    const index = left.findIndex((record) => {
      passed += record.weight;
      return point <= passed;
    });
    ordered.push(...left.splice(Math.max(index, 0), 1));
  }
  return ordered;
}
