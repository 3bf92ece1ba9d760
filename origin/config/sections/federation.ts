import * as z from "zod";
import { count, texts } from "../fields.ts";
import { LOCAL_NETWORKS, networks } from "../networks.ts";

/** `federation`: other servers. */
export const federationSchema = z
  .object({
    backoffAt: count(20, "After how many failures in a row another server is left alone for a while.", {
      least: 1,
    }),
    notaries: texts(
      [],
      "Servers that are asked for another server's keys where it does not give them itself, by name. New with mxcdn.",
    ),
    ignoredHosts: texts([], "Servers whose media is neither fetched nor served, by name."),
    allowedNetworks: networks(
      ["0.0.0.0/0", "::/0"],
      "Where connections to other servers may go. New with mxcdn; same meaning as in `urlPreviews`.",
    ),
    disallowedNetworks: networks(
      LOCAL_NETWORKS,
      "Where connections to other servers may never go, whatever `allowedNetworks` says. New with mxcdn.",
    ),
  })
  .prefault({})
  .meta({ description: "How other servers are asked for their media.", live: false });
