import type { Credentials } from "../../shared/matrix/access_token.ts";
import { hashToken, tokenNames } from "../access/tokens/judge_token.ts";
import type { TokenLines } from "../access/tokens/token_lines.ts";
import type { SteadyClock } from "../platform/clock.ts";
import { TtlCache } from "../platform/ttl.ts";
import { SingleFlight } from "../platform/work_queue.ts";

/** What a server supports (Client-Server API, "API Versions"). */
export interface SupportedVersions {
  readonly versions: readonly string[];
  readonly unstable_features: Readonly<Record<string, boolean>>;
}

/** What asking a homeserver needs to know of a domain. */
export interface VersionsDomain {
  readonly serverName: string;
  /** Asks the homeserver. Throws the Matrix error that the client must get: 502 or 503 for an outage. */
  readonly versions: (
    credentials: Credentials | undefined,
    clientAddress: string | undefined,
  ) => Promise<SupportedVersions>;
}

/** What {@link makeClientVersions} needs. */
export interface ClientVersionsParts {
  readonly clock: SteadyClock;
  /** How long an answer of the homeserver is remembered, in milliseconds. */
  readonly ttlMs: number;
  /** In which the homeserver is asked with a token. */
  readonly lines: Pick<TokenLines, "ask">;
}

/** What clients are told of the versions: see {@link makeClientVersions}. */
export type ClientVersions = (
  domain: VersionsDomain,
  credentials: Credentials | undefined,
  context: { readonly clientAddress: string | undefined },
) => Promise<SupportedVersions>;

const MAX_REMEMBERED = 1_000;

/** Since this version clients may use authenticated media. */
const AUTHENTICATED_MEDIA = "v1.11";

/** What this service brings, whatever the homeserver says: MSC3916 (authenticated media), MSC2246 (asynchronous uploads), MSC4034 (usage). */
const OURS = { "org.matrix.msc3916.stable": true, "fi.mau.msc2246": true, "org.matrix.msc4034": true } as const;

/**
 * The versions that a homeserver supports, with media as this service has it: so clients use authenticated media although the
 * homeserver itself may be too old for it. Remembered for a short time per homeserver and token, outages never.
 */
export function makeClientVersions({ clock, ttlMs, lines }: ClientVersionsParts): ClientVersions {
  const remembered = new TtlCache<SupportedVersions>({ clock, ttlMs, max: MAX_REMEMBERED });
  const asking = new SingleFlight<SupportedVersions>();

  return async function clientVersions(domain, credentials, { clientAddress }) {
    const { serverName } = domain;
    const key = credentials ? (await tokenNames(serverName, credentials)).key : serverName;
    const known = remembered.get(key);
    if (known) return known;
    return await asking.run(key, async () => {
      const fromMs = clock();
      const question = () => domain.versions(credentials, clientAddress);
      const told = credentials
        ? await lines.ask({ serverName, tokenHash: hashToken(credentials.token), clientAddress }, question)
        : await question();
      const versions = withOurs(told);
      remembered.set(key, versions, { fromMs });
      return versions;
    });
  };
}

function withOurs(told: SupportedVersions): SupportedVersions {
  const { versions } = told;
  return {
    versions: versions.includes(AUTHENTICATED_MEDIA) ? versions : [...versions, AUTHENTICATED_MEDIA],
    unstable_features: { ...told.unstable_features, ...OURS },
  };
}
