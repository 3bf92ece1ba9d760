/** Everything beneath this is between the two tiers. For anybody else it does not exist: 404 `M_UNRECOGNIZED`. */
export const HOP_PREFIX = "/_mxcdn/";

/** What the edge asks the origin, each time by a signed hop (`shared/tiers/hop_signature`). */
export const HOP_PATHS = {
  /** `POST`: what is an access token worth? */
  verdict: `${HOP_PREFIX}v1/verdict`,
  /** `GET`: whose is the host of this hop, and how is media served there? */
  domain: `${HOP_PREFIX}v1/domain`,
  /**
   * Any method: the client's own request, whose path stands in the signed target only. A URL could not carry it as it is: the
   * URL standard would resolve encoded dot segments in it, or turn a backslash into a slash.
   */
  forward: `${HOP_PREFIX}v1/forward`,
} as const;
