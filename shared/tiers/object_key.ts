import { toHex } from "../matrix/encoding.ts";
import type { Mxc } from "../matrix/mxc.ts";
import { type ThumbnailSpec, thumbnailSuffix } from "../matrix/thumbnail_size.ts";

/** Where a body lies: its hash, and the generation of its incarnation, so that removing an old object can never take a new one. */
export function bodyKey(sha256: string, generation: number): string {
  return `b/${sha256}-${generation}`;
}

/** Where the descriptor of a media lies. Both parts must have passed their grammar: neither can then hold a slash or be a dot segment. */
export function descriptorKey(mxc: Mxc): string {
  return `d/${mxc.serverName}/${mxc.mediaId}`;
}

/** Where the descriptor of a thumbnail lies: beneath that of its media. */
export function thumbnailKey(mxc: Mxc, spec: ThumbnailSpec): string {
  return thumbnailKeyOf(mxc, thumbnailSuffix(spec));
}

/** The same, for a thumbnail that is known by its suffix. */
export function thumbnailKeyOf(mxc: Mxc, suffix: string): string {
  return `${descriptorKey(mxc)}/t/${suffix}`;
}

/** What a verdict is about: the token at one host, and the application service's masquerade if there is one. */
export interface VerdictSubject {
  host: string;
  token: string;
  userId?: string | undefined;
  deviceId?: string | undefined;
}

/** Where the verdict on an access token lies. The token itself is in no key: it is hashed, together with everything else that decides. */
export async function verdictKey(who: VerdictSubject): Promise<string> {
  const parts = [who.host.toLowerCase(), who.token, who.userId, who.deviceId];
  const text = parts.map(lengthPrefixed).join("");
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return `a/${toHex(new Uint8Array(digest))}`;
}

/** Where a server's signing key lies. */
export function signingKeyKey(serverName: string, keyId: string): string {
  return `k/${serverName}/${keyId}`;
}

/** Where it stands that a server is one of ours, and how its media is served. */
export function domainKey(serverName: string): string {
  return `p/${serverName}`;
}

/** Prefixed by its length, so that no two lists of parts read the same; an absent part differs from an empty one. */
function lengthPrefixed(part: string | undefined): string {
  return part === undefined ? "-" : `${part.length}:${part}`;
}
