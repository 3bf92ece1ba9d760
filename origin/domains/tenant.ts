import type { Credentials } from "../../shared/matrix/access_token.ts";
import type { TokenDomain } from "../access/tokens/judge_token.ts";
import type { VersionsDomain } from "./client_versions.ts";
import type { Domain } from "./domain.ts";

/** One homeserver as the routes see it: its part of the configuration, and how to ask it things. */
export interface Tenant extends TokenDomain, VersionsDomain {
  readonly domain: Domain;
  /** Pictures made of a name are drawn. */
  readonly identicons: boolean;
  /** Whether the bearer of these credentials administers the homeserver. */
  readonly isServerAdmin: (credentials: Credentials) => Promise<boolean>;
  /** Ends the session of these credentials (or all of the user's) at the homeserver. Throws what the client must get. */
  readonly logout: (credentials: Credentials, all: boolean, clientAddress: string | undefined) => Promise<void>;
}
