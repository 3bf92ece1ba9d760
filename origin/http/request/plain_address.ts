/**
 * An address without what some write around it: `192.0.2.1:5678`, `[2001:db8::1]:5678`, and the zone of `fe80::1%eth0`, which says
 * something of this machine only. Whatever else it is given stays as it is.
 */
export function plainAddress(text: string): string {
  const bare = /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  return bare.replace(/%.*$/, "");
}
