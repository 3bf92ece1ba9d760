import { createHash } from "node:crypto";
import type { ServingPolicy } from "../../../shared/tiers/domain_policy.ts";
import type { ApplicationService } from "./application_service.ts";

/** What the configuration says of a homeserver's tokens, and of how their bearers are served: all that a verdict follows from, but for the token. */
export interface Terms {
  /** Who is asked. */
  readonly csApi: string;
  readonly tokenTtlMs: number;
  readonly applicationServices: readonly ApplicationService[];
  readonly policy: ServingPolicy;
}

/** A fingerprint of terms: equal for equal terms, in every process and after a restart. No secret in them can be read from it. */
export function fingerprintTerms({ csApi, tokenTtlMs, applicationServices, policy }: Terms): string {
  const services = applicationServices.map((one) => ({ ...one, userNamespaces: one.userNamespaces.map(String) }));
  return createHash("sha256")
    .update(JSON.stringify([csApi, tokenTtlMs, services, policy]))
    .digest("hex");
}
