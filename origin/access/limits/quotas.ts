import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import type { Queryable } from "../../stores/db/database.ts";
import { findUsage, type Usage } from "../../stores/db/tables/usage.ts";
import { matchesGlob } from "./glob.ts";

/** The part of the section `uploads` that says what users may keep. 0 everywhere means: no limit here. */
export interface QuotaRules {
  readonly maxPending: number;
  readonly quotas: {
    readonly enabled: boolean;
    readonly users: readonly (Quota & { readonly glob: string })[];
  };
}

/** What one user may keep: bytes and files in all (as if nothing were deduplicated), and ids that wait for their bytes. 0: no limit. */
export interface Quota {
  readonly maxBytes: number;
  readonly maxFiles: number;
  readonly maxPending: number;
}

/** A domain as far as quotas are concerned. */
interface QuotaDomain {
  readonly uploads: QuotaRules;
}

/** Holds users to their quotas. Whoever has none costs no query. Errors: 403 `M_FORBIDDEN` with MMR's `M_QUOTA_EXCEEDED`. */
export class Quotas {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /**
   * The quota of a user: that of the first rule whose glob matches. Without one there is none, but for `uploads.maxPending`,
   * which also holds where the rule says nothing of its own.
   */
  of({ uploads }: QuotaDomain, userId: string): Quota {
    const { enabled, users } = uploads.quotas;
    const rule = enabled ? users.find(({ glob }) => matchesGlob(glob, userId)) : undefined;
    if (!rule) return { maxBytes: 0, maxFiles: 0, maxPending: uploads.maxPending };
    return { maxBytes: rule.maxBytes, maxFiles: rule.maxFiles, maxPending: rule.maxPending || uploads.maxPending };
  }

  /** Refuses an upload of so many bytes (at least; 0 where nothing was announced) that would not fit, before its body is read. */
  async admitUpload(domain: QuotaDomain, userId: string, bytes: number): Promise<void> {
    await requireRoom(this.#db, this.of(domain, userId), userId, { bytes, files: 1 });
  }

  /**
   * Refuses what does not fit, in the transaction that has just recorded the media: throwing undoes it. Recording holds the
   * row of the user's usage until the transaction ends, so uploads at the same time are judged one after the other, and
   * none gets beyond the quota.
   */
  async requireWithin(tx: Queryable, domain: QuotaDomain, userId: string): Promise<void> {
    await requireRoom(tx, this.of(domain, userId), userId, { bytes: 0, files: 0 });
  }
}

async function requireRoom(db: Queryable, quota: Quota, userId: string, more: Usage): Promise<void> {
  const { maxBytes, maxFiles } = quota;
  if (maxBytes <= 0 && maxFiles <= 0) return;
  const used = await findUsage(db, userId);
  if (maxBytes > 0 && used.bytes + more.bytes > maxBytes) throw exceeded(`${maxBytes} bytes, ${used.bytes} are used`);
  if (maxFiles > 0 && used.files + more.files > maxFiles) throw exceeded(`${maxFiles} files, ${used.files} are used`);
}

function exceeded(rule: string): MatrixError {
  return new MatrixError("M_FORBIDDEN", `Cannot store this: your quota is ${rule}`, {
    mrErrcode: "M_QUOTA_EXCEEDED",
    extra: { limit: "uploads.quotas" },
  });
}
