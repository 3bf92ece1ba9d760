import { type AddressGuard, makeAddressGuard, type NetworkLists } from "./address_guard.ts";
import { type Dns, makeDns } from "./dns.ts";
import { makeSafeFetch, type SafeFetch } from "./safe_fetch.ts";

/** What may be reached, and how much at once. */
export interface NetParts {
  /** The networks that names which others choose may lead to (`federation` of the configuration). */
  readonly networks: NetworkLists;
  /** Connections to each homeserver of the configuration. */
  readonly homeserverConnections: number;
  /** Certificates to trust instead of the built-in ones (PEM). */
  readonly ca?: string | undefined;
}

const DNS_MS = 5_000;
const USER_AGENT = "mxcdn";

/** The one way out of the origin: everything that is sent to others goes through here, past the address guard. */
export class Net {
  /** To other servers, and wherever they lead us. */
  readonly fetch: SafeFetch;
  /** To the homeservers of the configuration: nothing else takes their connections. */
  readonly homeserverFetch: SafeFetch;
  /** The SRV records under a name, in no order; an empty list if there are none. Throws a `FetchError` where nobody answers. */
  readonly srv: Dns["srv"];
  readonly #close: () => Promise<void>;

  constructor({ networks, homeserverConnections, ca }: NetParts) {
    const dns = makeDns({ timeoutMs: DNS_MS });
    const allows: AddressGuard = makeAddressGuard(networks);
    const common = { allows, addresses: dns.addresses, userAgent: USER_AGENT, ...(ca === undefined ? {} : { ca }) };
    const others = makeSafeFetch(common);
    const homeservers = makeSafeFetch({ ...common, connectionsPerHost: homeserverConnections });
    this.fetch = others;
    this.homeserverFetch = homeservers;
    this.srv = dns.srv;
    this.#close = async () => void (await Promise.all([others.close(), homeservers.close()]));
  }

  /** Ends every connection, also those in use. */
  close(): Promise<void> {
    return this.#close();
  }
}
