import type { ServingPolicy } from "../../shared/tiers/domain_policy.ts";

/** A domain's serving policy with nothing special in it: thumbnails of no configured size, no limit on open ranges. */
export const PLAIN_POLICY: ServingPolicy = {
  thumbnails: { sizes: [], dynamicSizing: false, defaultAnimated: false, allowAnimated: true },
  openRangeMaxBytes: 0,
};
