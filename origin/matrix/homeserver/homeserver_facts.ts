import * as z from "zod";
import { HomeserverOutage, type UncheckedObject, UnusableAnswer } from "./homeserver_answer.ts";

/** Whose token it is. */
export interface WhoAmI {
  userId: string;
  deviceId?: string;
  isGuest: boolean;
}

/** What `GET /_matrix/client/versions` says. */
export interface Versions {
  versions: string[];
  unstable_features: Record<string, boolean>;
}

/** The homeserver answers as if it were another server's: its answer lets no one in. */
export class ForeignUserError extends UnusableAnswer {}

const whoamiSchema = z.object({
  user_id: z
    .string()
    .regex(/^@[^\0]*:[^\0]+$/)
    .max(255),
  device_id: z
    .string()
    .regex(/^[^\0]*$/)
    .max(512)
    .nullish(),
  is_guest: z.boolean().nullish(),
  "org.matrix.msc3069.is_guest": z.boolean().nullish(),
});

/**
 * Reads a whoami answer of the homeserver of this name. It speaks for its own users only: a user of another
 * server is refused. Throws {@link UnusableAnswer}: another token may get a better answer.
 */
export function readWhoAmI(body: UncheckedObject, serverName: string): WhoAmI {
  const { success, data } = whoamiSchema.safeParse(body);
  if (!success) throw new UnusableAnswer("The homeserver's whoami answer has not the expected form");
  if (serverOf(data.user_id) !== serverName) {
    const user = JSON.stringify(data.user_id);
    throw new ForeignUserError(
      `The homeserver of ${serverName} says that a token is that of ${user}: is its csApi right?`,
    );
  }
  const isGuest = data.is_guest ?? data["org.matrix.msc3069.is_guest"] ?? false;
  return { userId: data.user_id, ...(data.device_id ? { deviceId: data.device_id } : {}), isGuest };
}

/** What stands after the first colon of a user id; a localpart holds none. */
function serverOf(userId: string): string {
  return userId.slice(userId.indexOf(":") + 1);
}

/** A whois answer grants only if it is about the user that was asked for; some homeservers do not repeat whom. Throws {@link UnusableAnswer}. */
export function isAbout(body: UncheckedObject, userId: string): true {
  if (body.user_id === undefined || body.user_id === userId) return true;
  throw new UnusableAnswer("The homeserver's whois answer is about another user");
}

/** Reads an answer to `GET /_matrix/client/versions`. Throws {@link HomeserverOutage}. */
export function readVersions(body: UncheckedObject): Versions {
  const { versions, unstable_features: features } = body;
  if (!Array.isArray(versions)) throw new HomeserverOutage("The homeserver's versions answer has no list of versions");
  const entries = Object.entries(typeof features === "object" && features !== null ? features : {});
  const flags = entries.filter((entry): entry is [string, boolean] => typeof entry[1] === "boolean");
  return { versions: versions.filter((one) => typeof one === "string"), unstable_features: Object.fromEntries(flags) };
}
