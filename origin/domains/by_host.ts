import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import { parseServerName } from "../../shared/matrix/server_name.ts";

/**
 * Finds the homeserver that a request is meant for by the host it was sent to. A server name is an identifier and keeps its case, but
 * a host has none: clients and proxies write it in small letters, whatever the configuration has. Of two names that differ in case
 * alone, which no configuration has, the last is found.
 */
export class DomainsByHost<D> {
  readonly #domains: ReadonlyMap<string, D>;

  /** By server name. */
  constructor(domains: ReadonlyMap<string, D>) {
    this.#domains = new Map([...domains].map(([name, domain]) => [name.toLowerCase(), domain]));
  }

  /**
   * - The only homeserver of a configuration is meant whatever the host says: there is nothing to choose.
   * - Of several, the one whose server name is the host, whatever the case; failing that, the one whose server name is the host
   *   without its port.
   *
   * Errors: 404 `M_UNRECOGNIZED` that names the host received and how to mend it. It is never a token error.
   */
  atHost(host: string | undefined): D {
    const only = this.#domains.size === 1 ? this.#domains.values().next().value : undefined;
    if (only !== undefined) return only;
    const asked = host?.trim() ?? "";
    const name = withoutRoot(asked).toLowerCase();
    const found = this.#domains.get(name) ?? this.#domains.get(withoutPort(name));
    if (found !== undefined) return found;
    throw new MatrixError("M_UNRECOGNIZED", unknownHost(asked), { mrErrcode: "M_UNKNOWN_HOST" });
  }
}

/** `example.org.` is `example.org`, said in full (RFC 1034, section 3.1). */
function withoutRoot(host: string): string {
  return host.replace(/(?<=[^.])\.(?=:\d+$|$)/, "");
}

function withoutPort(host: string): string {
  const name = parseServerName(host);
  if (!name) return host;
  return name.kind === "ipv6" ? `[${name.host}]` : name.host;
}

function unknownHost(asked: string): string {
  const shown = parseServerName(asked) ? `"${asked.slice(0, 255)}"` : "no valid host";
  return (
    `This media repository serves no homeserver by the host it was asked for (${shown}). ` +
    "The reverse proxy must send the server name of the homeserver as Host or X-Forwarded-Host, and " +
    "`homeservers` of the configuration must list it"
  );
}
