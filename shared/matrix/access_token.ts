import { MatrixError } from "./matrix_error.ts";

/** Who a client says it is: its token, and whom an application service wants to act as (AS API, Identity assertion). */
export interface Credentials {
  token: string;
  userId?: string;
  deviceId?: string;
}

/** Homeservers make tokens of some forty to a few hundred characters, all of which a header can carry. */
export const MAX_TOKEN_LENGTH = 1_024;
const TOKEN = new RegExp(`^[\\x21-\\x7e]{1,${MAX_TOKEN_LENGTH}}$`);

/** Whether this may be an access token. No homeserver is asked about any other text. */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** In characters: of a user ID (appendices, "User Identifiers"), and more than homeservers allow a device. */
const MAX_USER_ID = 255;
const MAX_DEVICE_ID = 512;

/**
 * Finds the credentials of a request; undefined where it brings no token. `Authorization: Bearer` wins over `?access_token=`, and a header
 * of another scheme means no token at all, the query's included (as in matrix-media-repo). What comes out of here can go into any header.
 *
 * Errors: 401 `M_UNKNOWN_TOKEN` for an impossible token; 400 `M_INVALID_PARAM` for a `user_id` or
 * `device_id` that no user or device can have.
 */
export function readCredentials(
  authorization: string | null | undefined,
  query: URLSearchParams,
): Credentials | undefined {
  const token = authorization ? bearer(authorization) : query.get("access_token");
  if (!token) return undefined;
  if (!isToken(token)) throw new MatrixError("M_UNKNOWN_TOKEN", "Unrecognised access token");
  const userId = readName(query, "user_id", MAX_USER_ID);
  const deviceId =
    readName(query, "device_id", MAX_DEVICE_ID) ?? readName(query, "org.matrix.msc3202.device_id", MAX_DEVICE_ID);
  return { token, ...(userId ? { userId } : {}), ...(deviceId ? { deviceId } : {}) };
}

/** The scheme's name is case-insensitive (RFC 9110 §11.1). White space is that of ASCII only: both tiers read other bytes differently. */
function bearer(authorization: string): string | undefined {
  return /^[ \t]*Bearer +([^ \t]+)[ \t]*$/i.exec(authorization)?.[1];
}

function readName(query: URLSearchParams, parameter: string, maxLength: number): string | undefined {
  const name = query.get(parameter) || undefined;
  if (name !== undefined && (name.length > maxLength || /\p{Cc}/u.test(name))) {
    throw new MatrixError("M_INVALID_PARAM", `The parameter ${parameter} names nobody`);
  }
  return name;
}
