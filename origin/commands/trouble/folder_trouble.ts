import type { Trouble } from "./connection_trouble.ts";

/** Why nothing can be kept in a folder, in an operator's words. */

const IN_THE_WAY: Trouble = {
  why: "a file is in its way",
  cure: "move that file away, or name another folder",
};
const NOT_OURS: Trouble = {
  why: "permission denied",
  cure: "make it writable for this user, or name another folder",
};

/** By the codes of the system. */
const TROUBLES: Readonly<Record<string, Trouble>> = {
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
  return TROUBLES[code];
}
