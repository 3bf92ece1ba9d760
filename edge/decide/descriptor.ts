import { type Descriptor, parseDescriptor } from "../../shared/tiers/descriptor.ts";
import { descriptorKey } from "../../shared/tiers/object_key.ts";

/**
 * Reads the descriptor that lies under `key`: of a media, or of one of its thumbnails. One that names another media is a mistake that
 * must not become a disclosure: undefined.
 */
export function parseDescriptorAt(text: string, key: string): Descriptor | undefined {
  const descriptor = parseDescriptor(text);
  if (!descriptor || descriptor.gone) return descriptor;
  const own = descriptorKey({ serverName: descriptor.server_name, mediaId: descriptor.media_id });
  return key === own || key.startsWith(`${own}/t/`) ? descriptor : undefined;
}
