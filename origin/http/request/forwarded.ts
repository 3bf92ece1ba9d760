/**
 * Reads what proxies say of the request that they pass on: from the right, where the proxy next to us has written, and only a
 * bounded number of entries, since no limit has been applied yet and a client may send a list of any length.
 */

/** Far more proxies than any real chain has. */
const MAX_PROXIES = 32;

/** An IPv6 address with brackets, zone and port is shorter than this, in characters. */
const MAX_ADDRESS = 128;

/** A server name is shorter than this, in characters. */
const MAX_HOST = 300;

/**
 * The client's address in an `X-Forwarded-For`: the right-most that is not a trusted proxy's, since the client may have written
 * what is further left; where all are trusted, the left-most of those that are read. `undefined` for an empty list.
 */
export function forwardedAddress(header: string, isTrusted: (address: string) => boolean): string | undefined {
  let furthest: string | undefined;
  for (const entry of fromRight(header, MAX_PROXIES)) {
    const address = plainAddress(entry.slice(0, MAX_ADDRESS).trim());
    if (address === "") continue;
    if (!isTrusted(address)) return address;
    furthest = address;
  }
  return furthest;
}

/** The last entry of an `X-Forwarded-Host`; `undefined` if it is empty or too long. */
export function forwardedHost(header: string): string | undefined {
  const host = header.slice(header.lastIndexOf(",") + 1).trim();
  return host === "" || host.length > MAX_HOST ? undefined : host;
}

/** The entries of a list, the last one first; no more than `most` of them. */
function* fromRight(list: string, most: number): Generator<string> {
  let end = list.length;
  for (let count = 0; count < most && end >= 0; count += 1) {
    const comma = end === 0 ? -1 : list.lastIndexOf(",", end - 1);
    yield list.slice(comma + 1, end);
    end = comma;
  }
}

/**
 * An address without port, brackets and zone: `192.0.2.1:5678`, `[2001:db8::1]:5678`, `fe80::1%eth0`. Other texts stay as they
 * are.
 */
export function plainAddress(text: string): string {
  const bare = /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  return bare.replace(/%.*$/, "");
}
