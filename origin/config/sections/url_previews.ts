import * as z from "zod";
import { bytes, count, flag, text, texts } from "../fields.ts";
import { LOCAL_NETWORKS, networks } from "../networks.ts";

/** `urlPreviews`: pictures and words for links. */
export const urlPreviewsSchema = z
  .object({
    enabled: flag(true, "Make previews of links."),
    maxPageSizeBytes: bytes(10_485_760, "How much of a page is read; 0: no limit."),
    previewUnsafeCertificates: flag(false, "Accept certificates that nobody vouches for."),
    numWords: count(50, "How many words of a description are kept."),
    maxLength: count(200, "How many characters of a description are kept."),
    numTitleWords: count(30, "How many words of a title are kept."),
    maxTitleLength: count(150, "How many characters of a title are kept."),
    filePreviewTypes: texts(["image/*"], "Types of files that are previewed themselves; `*` stands for anything."),
    numWorkers: count(10, "How many previews are made at once; 0: no limit.", { domain: false }),
    disallowedNetworks: networks(LOCAL_NETWORKS, "Where links may never lead, whatever `allowedNetworks` says."),
    allowedNetworks: networks(["0.0.0.0/0"], "Where links may lead. IPv6 needs `::/0` here."),
    expireAfterDays: count(0, "After how many days previews are removed; 0: never.", { domain: false, type: "days" }),
    defaultLanguage: text("en-US,en", "The languages asked for where the client names none."),
    userAgent: text("matrix-media-repo", "How the repository introduces itself to web sites."),
    oEmbed: flag(false, "Ask sites that are known to offer oEmbed that way."),
  })
  .prefault({})
  .meta({ description: "Previews of links.", domain: true, live: true, status: "later" });
