/**
 * What proxies say of the request that they pass on: from the right, where the proxy next to us has written, and no further than
 * anybody honest goes. It is read before any limit, and a client may have sent a hundred thousand characters for the proxy to add to.
 */

/** Far more proxies than stand one behind the other anywhere. */
const MAX_PROXIES = 32;

/** An IPv6 address with brackets, zone and port is shorter than this, in characters. */
const MAX_ADDRESS = 128;

/** A server name is shorter than this, in characters. */
const MAX_HOST = 300;

/**
 * The client's address in an `X-Forwarded-For`: the right-most that is no trusted proxy's, since what is further left, the client may
 * have written itself; where all are trusted, the left-most of those that are looked at. `undefined`: it names nobody.
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

/** The last entry of an `X-Forwarded-Host`. `undefined`: it names none. */
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
 * An address without what some write around it: `192.0.2.1:5678`, `[2001:db8::1]:5678`, and the zone of `fe80::1%eth0`, which says
 * something of this machine only. Whatever else it is given stays as it is.
 */
export function plainAddress(text: string): string {
  const bare = /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  return bare.replace(/%.*$/, "");
}
