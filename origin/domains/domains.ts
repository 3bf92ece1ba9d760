import { hashAuthPolicy } from "../access/access.ts";
import { datastoresOf } from "../config/files/place.ts";
import type { Config, DomainConfig } from "../config/schema.ts";
import { Homeserver } from "../matrix/homeserver/homeserver.ts";
import type { OwnQuestions } from "../matrix/own_questions.ts";
import { loadIdentities, type SigningIdentity } from "../matrix/signing_keys.ts";
import type { SafeFetch } from "../net/safe_fetch.ts";
import type { Clock, SteadyClock } from "../platform/clock.ts";
import type { Datastores } from "../stores/objects/datastores.ts";
import { DomainsByHost } from "./by_host.ts";
import { type Domain, readSettings } from "./domain.ts";

/** What the homeservers that are served here are made with. */
export interface DomainsWorld {
  readonly clock: Clock;
  readonly steady: SteadyClock;
  /** The way to the homeservers. */
  readonly safeFetch: SafeFetch;
  readonly ownQuestions: OwnQuestions;
  readonly datastores: Datastores;
}

/** Failures in a row after which a homeserver is left alone for a while, where the configuration does not say. */
const BACKOFF_AT = 10;

/** The homeservers that are served here, as the configuration has them now: ask each time, and keep none across requests. */
export class Domains {
  readonly #world: DomainsWorld;
  #byName: ReadonlyMap<string, Domain> = new Map();
  #byHost = new DomainsByHost<Domain>(new Map());

  private constructor(world: DomainsWorld) {
    this.#world = world;
  }

  /** Makes those of a configuration. Throws where a signing key cannot be read. */
  static async open(config: Config, world: DomainsWorld): Promise<Domains> {
    const domains = new Domains(world);
    await domains.change(config);
    return domains;
  }

  /**
   * Takes another configuration, and opens its datastores. Throws, with the old one in force, where a signing key cannot be
   * read.
   */
  async change(config: Config): Promise<void> {
    const identities = await loadIdentities(config.domains.values());
    this.#world.datastores.follow(datastoresOf(config));
    const made = [...config.domains].map(([name, one]) => [name, this.#make(config, one, identities)] as const);
    this.#byName = new Map(made);
    this.#byHost = new DomainsByHost(this.#byName);
  }

  /** The homeserver of this name, which is compared letter by letter. */
  withName(serverName: string): Domain | undefined {
    return this.#byName.get(serverName);
  }

  /** The homeserver that a request to this host is meant for. Errors: 404 `M_UNRECOGNIZED` where there is none. */
  atHost(host: string | undefined): Domain {
    return this.#byHost.atHost(host);
  }

  all(): readonly Domain[] {
    return [...this.#byName.values()];
  }

  #make(config: Config, domain: DomainConfig, identities: ReadonlyMap<string, SigningIdentity>): Domain {
    const { safeFetch, clock, steady, ownQuestions, datastores } = this.#world;
    const homeserver = new Homeserver({
      csApi: domain.csApi,
      serverName: domain.name,
      backoffAt: domain.backoffAt > 0 ? domain.backoffAt : BACKOFF_AT,
      timeoutMs: domain.timeouts.clientServerTimeoutSeconds * 1000,
      ...{ safeFetch, clock, steady },
      marks: ownQuestions.headersFor(domain.name),
    });
    const settings = readSettings(config, domain);
    return {
      ...settings,
      homeserver,
      isServerAdmin: (credentials) => homeserver.isServerAdmin(credentials, domain.adminApiKind),
      authPolicyHash: hashAuthPolicy({ csApi: domain.csApi, ...settings }),
      federation: {
        signAs: identities.get(domain.name),
        timeoutMs: domain.timeouts.federationTimeoutSeconds * 1000,
      },
      datastoreFor: (kind) => datastores.pick(domain.datastores, kind),
    };
  }
}
