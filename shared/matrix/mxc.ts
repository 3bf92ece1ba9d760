import { isServerName } from "./server_name.ts";

/** The identity of one media: case-sensitive in both parts. */
export interface Mxc {
  serverName: string;
  mediaId: string;
}

/** Whether a text is a media id: 1 to 255 of `A-Z a-z 0-9 _ -` (the alphabet is the specification's, the length ours). */
export function isMediaId(text: string): boolean {
  return /^[0-9A-Za-z_-]{1,255}$/.test(text);
}

/** Takes `mxc://server/id` apart; undefined for anything else, queries and fragments included (CS API, Matrix Content URIs). */
export function parseMxc(uri: string): Mxc | undefined {
  const [, serverName = "", mediaId = ""] = /^mxc:\/\/([^/]{1,262})\/([^/]{1,255})$/.exec(uri) ?? [];
  return isServerName(serverName) && isMediaId(mediaId) ? { serverName, mediaId } : undefined;
}

/** The `mxc://` URI of a media. */
export function formatMxc(mxc: Mxc): string {
  return `mxc://${mxc.serverName}/${mxc.mediaId}`;
}
