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

/**
 * The quota of a user: that of the first rule whose glob matches. Without one there is none, but for `uploads.maxPending`,
 * which also holds where the rule says nothing of its own.
 */
export function quotaOf(rules: QuotaRules, userId: string): Quota {
  const { enabled, users } = rules.quotas;
  const rule = enabled ? users.find(({ glob }) => matchesGlob(glob, userId)) : undefined;
  if (!rule) return { maxBytes: 0, maxFiles: 0, maxPending: rules.maxPending };
  return { maxBytes: rule.maxBytes, maxFiles: rule.maxFiles, maxPending: rule.maxPending || rules.maxPending };
}

/** Quotas at work: see {@link makeQuotas}. Errors: 403 `M_FORBIDDEN` with MMR's `M_QUOTA_EXCEEDED`. */
export interface Quotas {
  /** Refuses an upload of so many bytes (at least; 0 where nothing was announced) that would not fit, before its body is read. */
  admitUpload(domain: QuotaDomain, userId: string, bytes: number): Promise<void>;
  /**
   * Refuses what does not fit, in the transaction that has just recorded the media: throwing undoes it. Recording holds the
   * row of the user's usage until the transaction ends, so uploads at the same time are judged one after the other, and
   * none gets beyond the quota.
   */
  requireWithin(tx: Queryable, domain: QuotaDomain, userId: string): Promise<void>;
}

/** A domain as far as quotas are concerned. */
export interface QuotaDomain {
  readonly uploads: QuotaRules;
}

/** Holds users to their quotas of bytes and files. Whoever has none costs no query. */
export function makeQuotas(db: Queryable): Quotas {
  return {
    async admitUpload({ uploads }, userId, bytes) {
      await judge(db, quotaOf(uploads, userId), userId, { bytes, files: 1 });
    },
    async requireWithin(tx, { uploads }, userId) {
      await judge(tx, quotaOf(uploads, userId), userId, { bytes: 0, files: 0 });
    },
  };
}

async function judge(db: Queryable, quota: Quota, userId: string, more: Usage): Promise<void> {
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
