import type { Access } from "../access/access.ts";
import type { IncomingRequest } from "../access/subject.ts";
import type { SteadyClock } from "../platform/clock.ts";
import { TtlCache } from "../platform/ttl.ts";
import { SingleFlight } from "../platform/work_queue.ts";
import type { Domain } from "./domain.ts";

/** What a server supports (Client-Server API, "API Versions"). */
export interface SupportedVersions {
  readonly versions: readonly string[];
  readonly unstable_features: Readonly<Record<string, boolean>>;
}

/** How long an answer of a homeserver is remembered. */
const TTL_MS = 60_000;
const MAX_REMEMBERED = 1_000;

/** Since this version clients may use authenticated media. */
const AUTHENTICATED_MEDIA = "v1.11";

/** What this service brings, whatever the homeserver says: MSC3916 (authenticated media), MSC2246 (asynchronous uploads), MSC4034 (usage). */
const OURS = { "org.matrix.msc3916.stable": true, "fi.mau.msc2246": true, "org.matrix.msc4034": true } as const;

/**
 * The versions that a homeserver supports, with media as this service has it: so clients use authenticated media although the
 * homeserver itself may be too old for it. Remembered for a short time per homeserver and token, outages never.
 */
export class ClientVersions {
  readonly #access: Pick<Access, "nameClient" | "askAsClient">;
  readonly #clock: SteadyClock;
  readonly #remembered: TtlCache<SupportedVersions>;
  readonly #asking = new SingleFlight<SupportedVersions>();

  constructor({ access, clock }: { access: Pick<Access, "nameClient" | "askAsClient">; clock: SteadyClock }) {
    this.#access = access;
    this.#clock = clock;
    this.#remembered = new TtlCache({ clock, max: MAX_REMEMBERED, ttlMs: TTL_MS });
  }

  /** What a client is told. Errors: what the homeserver refuses; `unavailable` for an outage. */
  async of(domain: Pick<Domain, "serverName" | "homeserver">, request: IncomingRequest): Promise<SupportedVersions> {
    const key = await this.#access.nameClient(request, domain);
    const known = this.#remembered.get(key);
    if (known) return known;
    return await this.#asking.run(key, async () => {
      const fromMs = this.#clock();
      const { clientAddress } = request;
      const told = await this.#access.askAsClient(request, domain, (credentials) =>
        domain.homeserver.versions(credentials, { clientAddress }),
      );
      const versions = withOurs(told);
      this.#remembered.set(key, versions, { fromMs });
      return versions;
    });
  }
}

function withOurs(told: SupportedVersions): SupportedVersions {
  const { versions } = told;
  return {
    versions: versions.includes(AUTHENTICATED_MEDIA) ? versions : [...versions, AUTHENTICATED_MEDIA],
    unstable_features: { ...told.unstable_features, ...OURS },
  };
}
