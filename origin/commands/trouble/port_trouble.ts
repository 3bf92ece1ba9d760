import { codeOf, type Trouble, withCauses } from "./connection_trouble.ts";

/** Why nobody can listen on a port, in an operator's words. */

/** By which option or key the port and the address are chosen. */
export interface PortKeys {
  readonly port: string;
  readonly address: string;
}

/** How the ports of the origin are chosen. */
export const ORIGIN_PORT: PortKeys = { port: "--port", address: "repo.bindAddress" };
/** How the port of a local edge is chosen; its address is loopback. */
export const EDGE_PORT: PortKeys = { port: "--edge-port", address: "edge.localPort" };
/** How the port for Prometheus is chosen. */
export const METRICS_PORT: PortKeys = { port: "metrics.port", address: "metrics.bindAddress" };

/** What an error of listening comes from; `undefined` for an error of another kind. */
export function portTrouble(error: unknown, { port, address }: PortKeys): Trouble | undefined {
  for (const code of withCauses(error).map(codeOf)) {
    if (code === "EADDRINUSE")
      return { why: "the port is taken by another program", cure: `end that, or choose another with ${port}` };
    if (code === "EACCES") return { why: "the port is for the superuser only", cure: `choose another with ${port}` };
    if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "EAI_AGAIN" || code === "EINVAL") {
      return { why: "that is not an address of this machine", cure: `set \`${address}\` to one that is` };
    }
  }
  return undefined;
}
