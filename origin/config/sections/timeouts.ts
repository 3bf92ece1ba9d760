import * as z from "zod";
import { count } from "../fields.ts";

/** `timeouts`: how long others are waited for. */
export const timeoutsSchema = z
  .object({
    urlPreviewTimeoutSeconds: count(10, "How long a web site is waited for.", {
      type: "seconds",
      least: 1,
      status: "later",
    }),
    federationTimeoutSeconds: count(120, "How long another server is waited for.", {
      type: "seconds",
      least: 1,
    }),
    clientServerTimeoutSeconds: count(30, "How long the homeserver is waited for.", { type: "seconds", least: 1 }),
  })
  .prefault({})
  .meta({ description: "How long others are waited for.", domain: true, live: true });
