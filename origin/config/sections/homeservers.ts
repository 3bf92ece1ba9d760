import * as z from "zod";
import { isServerName } from "../../../shared/matrix/server_name.ts";
import { choice, count, isHttpUrl, text } from "../fields.ts";

const CS_API_ERROR = "is needed: the address of the homeserver's client API, such as http://synapse:8008";

/** The keys that say how to reach a homeserver: in an entry of `homeservers`, or at the top of a per-domain file. */
export const homeserverShape = {
  csApi: z
    .string({ error: CS_API_ERROR })
    .refine((url) => url !== "", { error: CS_API_ERROR })
    .refine((url) => url === "" || isHttpUrl(url), { error: "must be an address that starts with http:// or https://" })
    .meta({
      type: "URL",
      description:
        "Where the homeserver's client API answers, without a path: the homeserver itself, not the public name.",
      domain: true,
    }),
  backoffAt: count(
    10,
    "After how many failures in a row the homeserver is left alone for a while; 0 or less means 10.",
    {
      domain: true,
      min: Number.MIN_SAFE_INTEGER,
    },
  ),
  adminApiKind: choice(
    ["matrix", "synapse", "dendrite"],
    "matrix",
    "Which admin API the homeserver has: decides how its administrators are recognised.",
    { domain: true },
  ),
  signingKeyPath: text("", "The file of the key that signs requests to other servers.", { domain: true }),
};

const NAME_ERROR = "is needed: the server name, as in @user:example.org";

/** `homeservers[]`: which homeservers this repository serves. */
export const homeserversSchema = z
  .array(
    z.object({
      name: z
        .string({ error: NAME_ERROR })
        .refine((name) => name !== "", { error: NAME_ERROR })
        .refine((name) => name === "" || isServerName(name), { error: "must be a server name such as example.org" })
        .meta({
          type: "server name",
          description: "The server name: what stands after the colon of its users' ids, in the same case.",
        }),
      ...homeserverShape,
    }),
    { error: "must be a list of homeservers" },
  )
  .default([])
  .meta({
    description: "The homeservers that this repository serves. A request is theirs whose name its `Host` is.",
    live: true,
  });
