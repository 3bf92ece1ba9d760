/** Why another machine, or another program of this one, cannot be reached, in an operator's words. */

/** What is wrong, and what to do. */
export interface Trouble {
  readonly why: string;
  readonly cure: string;
}

const NO_ISSUER: Trouble = {
  why: "no authority that this machine trusts has signed its certificate",
  cure: "give it one of a known authority, or make its authority known (NODE_EXTRA_CA_CERTS)",
};
const NO_TLS: Trouble = { why: "what listens there does not speak TLS", cure: "switch TLS on there, or off here" };
const SILENT: Trouble = {
  why: "it does not answer in time",
  cure: "see that it runs, and that no firewall is between",
};
const NO_WAY: Trouble = {
  why: "no way leads there",
  cure: "see that the address and this machine's network are right",
};
const CLOSED: Trouble = {
  why: "it closed the connection without an answer",
  cure: "see that host and port are the right ones",
};

/** By the codes of the system, of Node and of its libraries. */
const TROUBLES: Readonly<Record<string, Trouble>> = {
  ECONNREFUSED: { why: "nothing listens there", cure: "see that it runs, and that host and port are right" },
  ENOTFOUND: { why: "its host has no address", cure: "see that the name is right" },
  EAI_AGAIN: {
    why: "the name service of this machine does not answer",
    cure: "see that it does, and that the name is right",
  },
  ENOENT: { why: "there is no such socket", cure: "see that it runs, and that the path of the socket is right" },
  EACCES: { why: "permission denied", cure: "let the user of this process use the socket" },
  EPERM: { why: "permission denied", cure: "see that no firewall of this machine forbids it" },
  ETIMEDOUT: SILENT,
  EHOSTUNREACH: NO_WAY,
  ENETUNREACH: NO_WAY,
  ECONNRESET: CLOSED,
  EPIPE: CLOSED,
  SELF_SIGNED_CERT_IN_CHAIN: NO_ISSUER,
  DEPTH_ZERO_SELF_SIGNED_CERT: NO_ISSUER,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: NO_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT: NO_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: NO_ISSUER,
  CERT_HAS_EXPIRED: {
    why: "its certificate has expired",
    cure: "renew it, and see that this machine's clock is right",
  },
  CERT_NOT_YET_VALID: { why: "its certificate is not valid yet", cure: "see that this machine's clock is right" },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    why: "its certificate is for another name",
    cure: "name it as its certificate does, or give it a certificate for this name",
  },
  ERR_SSL_WRONG_VERSION_NUMBER: NO_TLS,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: NO_TLS,
};

/** What an error of a connection, or what caused it, comes from; `undefined` for an error of another kind. */
export function connectionTrouble(error: unknown): Trouble | undefined {
  for (const one of withCauses(error)) {
    const trouble = TROUBLES[codeOf(one) ?? ""];
    if (trouble) return trouble;
  }
  return undefined;
}

/** An error, those that it gathers, and what caused them, from the outside in. */
export function withCauses(error: unknown): unknown[] {
  const found = [error];
  for (const one of found) {
    if (!(one instanceof Error)) continue;
    if (one instanceof AggregateError) found.push(...one.errors);
    if (one.cause !== undefined && !found.includes(one.cause)) found.push(one.cause);
  }
  return found;
}

/** The code of an error of the system, of Node or of one of its libraries. */
export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}
