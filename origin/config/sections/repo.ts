import * as z from "zod";
import { flag, port, text } from "../fields.ts";
import { networks, PROXY_NETWORKS } from "../networks.ts";

const LEVELS = ["fatal", "error", "warn", "info", "debug", "trace"] as const;
/** Other words for them that matrix-media-repo takes. */
const ALIASES: Readonly<Record<string, (typeof LEVELS)[number]>> = { panic: "fatal", warning: "warn", "": "info" };

const logLevel = z
  .preprocess(
    (value) => (typeof value === "string" ? (ALIASES[value.toLowerCase()] ?? value.toLowerCase()) : value),
    z.enum(LEVELS, { error: `must be one of ${LEVELS.join(", ")}` }),
  )
  .default("info")
  .meta({ type: LEVELS.join(" \\| "), default: "info", description: "How much the log says.", live: false });

/** `repo`: the process itself. */
export const repoSchema = z
  .object({
    bindAddress: text("127.0.0.1", "The address the origin listens on.", { live: false }),
    port: port(8000, "The port the origin listens on; 0 lets the system choose.", { live: false }),
    logDirectory: text("logs", "the log goes to the standard output, as with `-`.", {
      status: "retired",
      harmless: ["", "-"],
    }),
    logColors: flag(false, "the log is written without colours.", { status: "retired", harmless: [false] }),
    jsonLogs: flag(false, "Write the log as JSON, one object a line.", { live: false }),
    logLevel,
    trustAnyForwardedAddress: flag(
      false,
      "Believe `X-Forwarded-For` from anybody, not only from `trustedProxies`. Whoever reaches the origin directly can then pose as any address.",
    ),
    useForwardedHost: flag(true, "Take the homeserver from `X-Forwarded-Host` where a trusted proxy sends it."),
    trustedProxies: networks(
      PROXY_NETWORKS,
      "From where `X-Forwarded-For` and `X-Forwarded-Host` are believed: the networks of your reverse proxies. An empty list trusts nobody.",
    ),
    freezeUnauthenticatedMedia: flag(
      true,
      "New media is seen only by those who authenticate; media from before stays as it was.",
    ),
  })
  .prefault({})
  .meta({ description: "The process itself: where it listens, what it logs, whom it believes.", live: true });
