import * as z from "zod";
import { count, flag, needed, port, text } from "../fields.ts";

/** `metrics`: for Prometheus. */
export const metricsSchema = z
  .object({
    enabled: flag(false, "Answer Prometheus."),
    bindAddress: text("localhost", "The address it is answered on."),
    port: port(9000, "The port it is answered on."),
  })
  .prefault({})
  .meta({ description: "Figures for Prometheus, on a port of their own.", live: false });

/** `tasks`: background work. */
export const tasksSchema = z
  .object({ numWorkers: count(5, "How many tasks run at once.") })
  .prefault({})
  .meta({ description: "Background work.", live: true, status: "later" });

/** `sentry`: error reports. */
export const sentrySchema = z
  .object({
    enabled: flag(false, "Send error reports."),
    dsn: text("not supplied", "Where to."),
    environment: text("", "The name of this installation."),
    debug: flag(false, "Say what is being sent."),
  })
  .prefault({})
  .meta({ description: "Error reports.", live: false, status: "later" });

/** `plugins[]`: programs that look at uploads. */
export const pluginsSchema = z
  .array(
    z.object({
      exec: needed("The program."),
      config: z.record(z.string(), z.unknown()).default({}).meta({ type: "map", description: "What it is told." }),
    }),
    { error: "must be a list of plugins" },
  )
  .default([])
  .meta({ description: "Programs that look at uploads.", live: true, status: "later" });

/** `pgo`: profiles for the makers of matrix-media-repo. */
export const pgoSchema = z
  .object({
    enabled: flag(false, "Send profiles."),
    submitUrl: text("https://mmr-pgo.t2host.io/v1/submit", "Where to."),
    submitKey: text("", "With which key."),
  })
  .prefault({})
  .meta({ description: "it sends profiles to the makers of matrix-media-repo; mxcdn sends none.", status: "retired" });

const blurhashSchema = z
  .object({
    enabled: flag(false, "Make blurhashes."),
    maxWidth: count(1024, "The widest picture drawn from one."),
    maxHeight: count(1024, "The highest picture drawn from one."),
    thumbWidth: count(64, "The width they are computed at."),
    thumbHeight: count(64, "The height they are computed at."),
    xComponents: count(4, "Components across."),
    yComponents: count(3, "Components down."),
    punch: count(1, "Contrast."),
  })
  .prefault({})
  .meta({ description: "Blurhashes (MSC2448).", status: "later" });

const ipfsSchema = z
  .object({
    enabled: flag(false, "Serve and store over IPFS."),
    builtInDaemon: z
      .object({
        enabled: flag(true, "Run a node inside the process."),
        repoPath: text("./ipfs", "Its folder."),
      })
      .prefault({})
      .meta({ description: "The node inside the process." }),
  })
  .prefault({})
  .meta({ description: "IPFS.", status: "later" });

/** `featureSupport`: what matrix-media-repo 1.2 offered beyond the specification. */
export const featureSupportSchema = z
  .object({
    MSC2448: blurhashSchema,
    IPFS: ipfsSchema,
    redis: z
      .record(z.string(), z.unknown())
      .optional()
      .meta({ type: "map", description: "it is read as `redis`, and belongs there.", status: "retired" }),
  })
  .prefault({})
  .meta({ description: "What matrix-media-repo 1.2 offered beyond the specification.", domain: true, live: true });
