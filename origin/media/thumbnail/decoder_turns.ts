import { parseServerName } from "../../../shared/matrix/server_name.ts";
import type { Counted } from "../../access/limits/counted.ts";
import type { Claim, Share } from "../../platform/fair_queue.ts";
import type { Media } from "../../stores/db/tables/media.ts";

/** Whoever is alone leaves one of a few decoders to others, and half of many. */
const ONE = 1;
/** All media of another server counts as one uploader's: nobody else is known. It may have nearly all decoders. */
const SERVER = 3;

/** On whose account a decoder looks into a media: of who asks, and of who uploaded it. */
export function decoderClaim(who: Counted, media: Pick<Media, "serverName" | "userId">): Claim {
  return [{ name: `asker ${who.name}`, weight: ONE, isMany: who.kind === "server" }, uploaderOf(media)];
}

function uploaderOf({ serverName, userId }: Pick<Media, "serverName" | "userId">): Share {
  if (userId !== undefined) return { name: `uploader ${userId}`, weight: ONE };
  const host = parseServerName(serverName)?.host ?? serverName;
  return { name: `uploads of ${host.toLowerCase()}`, weight: SERVER, isMany: true };
}
