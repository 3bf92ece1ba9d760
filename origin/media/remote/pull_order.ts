import type { FailureKind } from "../../../shared/matrix/failure.ts";
import type { Counted } from "../../access/limits/counted.ts";
import type { Domain } from "../../domains/domain.ts";

/** On whose behalf a media is fetched. */
export interface PullOrder {
  readonly asking: Domain;
  readonly who: Counted;
  /** How long the other server may wait for media that is not uploaded yet. */
  readonly waitMs: number;
  /** Also from a server of `federation.ignoredHosts`. */
  readonly evenIfIgnored: boolean;
}

/** Failures of one requester: they say nothing about the media. */
const OF_REQUESTER: ReadonlySet<FailureKind> = new Set(["limited", "busy", "unavailable"]);

/**
 * Whether the failure of a fetch is that of everybody who waited for it: not where another of our servers asked, which may be
 * let in less, nor where somebody else has had his share.
 */
export function concerns(failure: { readonly asking: string; readonly kind: FailureKind }, order: PullOrder): boolean {
  return failure.asking === order.asking.serverName && !OF_REQUESTER.has(failure.kind);
}
