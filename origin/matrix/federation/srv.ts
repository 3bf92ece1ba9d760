import { parseServerName } from "../../../shared/matrix/server_name.ts";
import type { SrvRecord } from "../../net/dns.ts";

/** Somewhere to connect to. */
export interface Target {
  /** Name, or address without brackets. */
  host: string;
  port: number;
}

/** Records of one name that are tried; more only help those who want to keep us busy. */
const MAX_TARGETS = 8;

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
