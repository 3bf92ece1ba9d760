import { codeOf, type Trouble, withCauses } from "./connection_trouble.ts";

/** Why a port or a folder of this machine cannot be used, in an operator's words. */

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

const IN_THE_WAY: Trouble = {
  why: "a file is in its way",
  cure: "move that file away, or name another folder",
};
const NOT_OURS: Trouble = {
  why: "permission denied",
  cure: "make it writable for this user, or name another folder",
};

/** What is wrong with a folder, by the codes of the system. */
const FOLDER_TROUBLES: Readonly<Record<string, Trouble>> = {
  EACCES: NOT_OURS,
  EPERM: NOT_OURS,
  EROFS: { ...NOT_OURS, why: "the file system is read-only" },
  ENOENT: { ...NOT_OURS, why: "it cannot be made there" },
  ENOTDIR: IN_THE_WAY,
  EEXIST: IN_THE_WAY,
  ENOSPC: { why: "no space is left", cure: "make room there, or name another folder" },
  EDQUOT: { why: "the quota of this user is used up", cure: "raise it, or make room there" },
  EFBIG: {
    why: "this process may write no files so large",
    cure: "raise its limit of file size (ulimit -f, LimitFSIZE=)",
  },
  EIO: { why: "the disk has failed", cure: "see what the system's log says of it" },
  EMFILE: { why: "this process may open no more files", cure: "raise its limit (ulimit -n, LimitNOFILE=)" },
};

/** What this code of the system means for a folder; `undefined` for one that has nothing to do with it. */
export function folderTrouble(code: string): Trouble | undefined {
  return FOLDER_TROUBLES[code];
}
