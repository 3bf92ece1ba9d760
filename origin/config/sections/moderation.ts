import * as z from "zod";
import { bytes, flag, text } from "../fields.ts";

/** `identicons`: pictures made of a name. */
export const identiconsSchema = z
  .object({ enabled: flag(true, "Make identicons.") })
  .prefault({})
  .meta({ description: "Pictures made of a name.", domain: true, live: true });

/** `quarantine`: what is seen instead of quarantined media. */
export const quarantineSchema = z
  .object({
    replaceThumbnails: flag(true, "Answer thumbnails of quarantined media with a picture that says so."),
    replaceDownloads: flag(false, "Answer downloads of quarantined media with that picture too."),
    thumbnailPath: text("", "A file with the picture to show; empty: a plain one."),
    allowLocalAdmins: flag(true, "Administrators of a homeserver may quarantine its media."),
  })
  .prefault({})
  .meta({ description: "What is seen instead of quarantined media.", domain: true, live: true, status: "later" });

/** `archiving`: exports. */
export const archivingSchema = z
  .object({
    enabled: flag(true, "Allow exports and imports."),
    selfService: flag(false, "Users may export their own media, administrators of a homeserver that of the server."),
    targetBytesPerPart: bytes(209_715_200, "About how large the parts of an export are.", { domain: false, least: 1 }),
  })
  .prefault({})
  .meta({ description: "Exports and imports.", domain: true, live: true, status: "later" });
