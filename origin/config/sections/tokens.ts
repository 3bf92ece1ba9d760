import * as z from "zod";
import { isToken, MAX_TOKEN_LENGTH } from "../../../shared/matrix/access_token.ts";
import { pattern } from "../checks/pattern.ts";
import { count, flag, needed, text } from "../fields.ts";

/** What is said of a token of the configuration that no client could bring. */
export const TOKEN_FORM = `must be 1 to ${MAX_TOKEN_LENGTH} printable ASCII characters without spaces: no other token is accepted from a client`;

const appserviceSchema = z.object({
  id: text("", "Its name, for the log."),
  asToken: needed("Its token (`as_token` of the registration).", { form: isToken, error: TOKEN_FORM }),
  senderUserId: text("", "The user it acts as when it names none, `@bot:example.org`."),
  userNamespaces: z
    .array(z.object({ regex: pattern("Users it may act as, found anywhere in the user id.") }), {
      error: "must be a list",
    })
    .default([])
    .meta({ description: "Users it may act as." }),
  rateLimited: flag(
    true,
    "Whether `rateLimit` holds for its users, as `rate_limited` of its registration. Set it to false for a bridge that is not to wait.",
  ),
});

/** `accessTokens`: how long answers of the homeserver are believed. */
export const accessTokensSchema = z
  .object({
    maxCacheTimeSeconds: count(
      0,
      "For how many seconds a good token is remembered; 0 asks the homeserver each time. Set it (43200, say) only where the reverse proxy also sends logout requests here.",
      { min: Number.MIN_SAFE_INTEGER, type: "seconds" },
    ),
    useLocalAppserviceConfig: flag(
      false,
      "Judge the tokens of `appservices` here, without asking the homeserver. Only while tokens are remembered.",
    ),
    appservices: z
      .array(appserviceSchema, { error: "must be a list of application services" })
      .default([])
      .meta({ description: "Application services whose tokens are judged here." }),
  })
  .prefault({})
  .meta({ description: "How access tokens are judged.", domain: true, live: true });

/** `sharedSecretAuth`: one token that may do everything. */
export const sharedSecretSchema = z
  .object({
    enabled: flag(false, "Accept `token` as a repository administrator, for any homeserver."),
    token: text("ReplaceMe", "The secret. At least as hard to guess as a password."),
  })
  .prefault({})
  .meta({ description: "A token of its own for scripts that administer the repository.", live: true });
