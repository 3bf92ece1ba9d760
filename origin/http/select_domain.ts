import { MatrixError } from "../../shared/matrix_error.ts";
import { parseServerName } from "../../shared/server_name.ts";

/**
 * Finds the homeserver that a request is meant for by the host it was sent to.
 *
 * - The only homeserver of a configuration is meant whatever the host says: there is nothing to choose.
 * - Of several, the one whose server name is the host; failing that, the one whose server name is the host without its port.
 *
 * Errors: 404 `M_UNRECOGNIZED` that names the host received and how to mend it. It is never a token error.
 */
export function selectDomain<D>(domains: ReadonlyMap<string, D>, host: string | undefined): D {
  const only = domains.size === 1 ? domains.values().next().value : undefined;
  if (only !== undefined) return only;
  const asked = host?.trim() ?? "";
  const name = withoutRoot(asked);
  const found = domains.get(name) ?? domains.get(name.toLowerCase()) ?? domains.get(withoutPort(name));
  if (found !== undefined) return found;
  throw new MatrixError("M_UNRECOGNIZED", mend(asked), { status: 404, mrErrcode: "M_UNKNOWN_HOST" });
}

/** `example.org.` is `example.org`, said in full (RFC 1034, section 3.1). */
function withoutRoot(host: string): string {
  return host.replace(/(?<=[^.])\.(?=:\d+$|$)/, "");
}

function withoutPort(host: string): string {
  const name = parseServerName(host);
  if (!name) return host.toLowerCase();
  return (name.kind === "ipv6" ? `[${name.host}]` : name.host).toLowerCase();
}

function mend(asked: string): string {
  const shown = parseServerName(asked) ? `"${asked.slice(0, 255)}"` : "no valid host";
  return (
    `This media repository serves no homeserver by the host it was asked for (${shown}). ` +
    "The reverse proxy must send the server name of the homeserver as Host or X-Forwarded-Host, and " +
    "`homeservers` of the configuration must list it"
  );
}
