/** A server name taken apart: the host without the brackets of IPv6, and the port if one was written. */
export interface ServerName {
  host: string;
  port?: number;
  kind: "ipv4" | "ipv6" | "dns";
}

/**
 * Takes a Matrix server name apart (Appendices, Server Name); undefined for an invalid one.
 *
 * Stricter than the bare grammar in three harmless ways, so that a name is safe as a path segment and means one host everywhere:
 * no empty DNS labels (`..`), no leading zeros in IPv4 octets, and no DNS name that URL parsers take for a number (`127.1`, `0x7f.1`).
 * Names keep their case: `matrix.org` and `MATRIX.ORG` are two servers.
 */
export function parseServerName(text: string): ServerName | undefined {
  const parts = /^(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z.-]{1,255})(?::([0-9]{1,5}))?$/.exec(text);
  const hostname = parts?.[1];
  if (hostname === undefined) return undefined;
  const host = parseHostname(hostname);
  if (host === undefined || parts?.[2] === undefined) return host;
  const port = Number(parts[2]);
  return port <= 65_535 ? { ...host, port } : undefined;
}

/** Whether a text is a valid Matrix server name. */
export function isServerName(text: string): boolean {
  return parseServerName(text) !== undefined;
}

function parseHostname(hostname: string): ServerName | undefined {
  if (hostname.startsWith("[")) {
    const host = hostname.slice(1, -1);
    return isIpv6(host) ? { host, kind: "ipv6" } : undefined;
  }
  if (isIpv4(hostname)) return { host: hostname, kind: "ipv4" };
  return isDnsName(hostname) ? { host: hostname, kind: "dns" } : undefined;
}

function isIpv4(text: string): boolean {
  const octets = text.split(".");
  return octets.length === 4 && octets.every((octet) => /^(0|[1-9][0-9]{0,2})$/.test(octet) && Number(octet) <= 255);
}

function isDnsName(text: string): boolean {
  const labels = text.split(".");
  const last = labels.at(-1) ?? "";
  // The URL standard reads a host whose last label is a number as an IPv4 address.
  return labels.every((label) => label !== "") && !/^([0-9]+|0[xX][0-9A-Fa-f]*)$/.test(last);
}

/** RFC 3513 §2.2: eight groups of 16 bits, `::` once for one or more zero groups, the last 32 bits possibly dotted. */
function isIpv6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const head = groupsOf(halves[0] ?? "", halves.length === 1);
  const tail = halves[1] === undefined ? 0 : groupsOf(halves[1], true);
  if (head === undefined || tail === undefined) return false;
  return halves.length === 1 ? head === 8 : head + tail <= 7;
}

/** How many 16-bit groups a colon-separated run has; undefined when one of them is malformed. */
function groupsOf(run: string, mayEndDotted: boolean): number | undefined {
  if (run === "") return 0;
  const groups = run.split(":");
  const dotted = mayEndDotted && isIpv4(groups.at(-1) ?? "");
  const hex = dotted ? groups.slice(0, -1) : groups;
  return hex.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group)) ? hex.length + (dotted ? 2 : 0) : undefined;
}
