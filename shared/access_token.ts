/** Who a client says it is: its token, and whom an application service wants to act as (AS API, Identity assertion). */
export interface Credentials {
  token: string;
  userId?: string;
  deviceId?: string;
}

/**
 * Finds the credentials of a request; undefined where it brings no token. `Authorization: Bearer` wins over `?access_token=`, and a header
 * of another scheme means no token at all, the query's included (as in matrix-media-repo). Tokens are opaque, but have no white space.
 */
export function readCredentials(
  authorization: string | null | undefined,
  query: URLSearchParams,
): Credentials | undefined {
  const token = authorization ? bearer(authorization) : query.get("access_token");
  if (!token) return undefined;
  const userId = query.get("user_id");
  const deviceId = query.get("device_id") || query.get("org.matrix.msc3202.device_id");
  return { token, ...(userId ? { userId } : {}), ...(deviceId ? { deviceId } : {}) };
}

/** The scheme's name is case-insensitive (RFC 9110 §11.1). */
function bearer(authorization: string): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(authorization.trim())?.[1];
}
