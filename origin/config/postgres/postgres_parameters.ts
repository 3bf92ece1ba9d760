/** The parameters of a connection by libpq's names for them (PostgreSQL documentation, "Parameter Key Words"). */
export type Parameters = ReadonlyMap<string, string>;

/** The address of a database cannot be used. The message names keys and cures; no value, which may be a password. */
export class PostgresUrlError extends Error {
  override readonly name = "PostgresUrlError";
}

const SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;
/** Passed on to `pg`, which means the same by them. */
const KEPT = ["sslmode", "sslcert", "sslkey", "sslrootcert", "sslnegotiation", "application_name", "client_encoding"];
/** Put where an address has them. */
const PLACED = ["host", "hostaddr", "port", "dbname", "user", "password", "options", "ssl"];
/** They make no difference here: what they ask for is so anyway, or is another library's own affair. */
const DROPPED =
  /^(?:connect_timeout|fallback_application_name|keepalives(?:_\w+)?|tcp_user_timeout|sslcompression|sslsni|gssencmode|krbsrvname|krbspn|gsslib|gssdelegation|load_balance_hosts|binary_parameters|disable_prepared_binary_result|uselibpqcompat)$/;
/** What they ask for cannot be done here, but for these values. */
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  channel_binding: ["", "prefer", "disable"],
  target_session_attrs: ["", "any", "read-write", "primary", "prefer-standby"],
  replication: ["", "false", "off", "no", "0"],
  requiressl: ["", "0"],
  ...Object.fromEntries(
    [
      ...["passfile", "service", "servicefile", "sslpassword", "sslcertmode", "sslcrl", "sslcrldir", "requirepeer"],
      ...["require_auth", "ssl_min_protocol_version", "ssl_max_protocol_version"],
    ].map((key) => [key, [""]]),
  ),
};

/** Is this a parameter that libpq or `lib/pq` knows by name? Any other is a setting of the session (`search_path`). */
export function isKnownParameter(key: string): boolean {
  return KEPT.includes(key) || PLACED.includes(key) || DROPPED.test(key) || Object.hasOwn(REFUSED, key);
}

/** Makes the address that the `pg` library reads with this meaning. Errors: {@link PostgresUrlError}. */
export function toPgUrl(given: Parameters): string {
  for (const [key, harmless] of Object.entries(REFUSED)) {
    if (!harmless.includes(given.get(key) ?? ""))
      throw new PostgresUrlError(`cannot be used with ${key}: leave it out`);
  }
  const mode = sslModeOf(given);
  const host = hostOf(given, mode);
  const isSocket = host.startsWith("/");
  const query = new Map<string, string>();
  if (isSocket) query.set("host", host);
  for (const key of KEPT) {
    const value = key === "sslmode" ? mode : (given.get(key) ?? "");
    // What `verify-full` does without a file.
    if (key === "sslrootcert" && value === "system") continue;
    const isTls = key.startsWith("ssl");
    // Nobody listens in on a socket: libpq never encrypts there.
    if (value !== "" && !(isTls && isSocket)) query.set(key, value);
  }
  // Only with this mark does `pg` mean by `sslmode` what libpq does.
  if (query.has("sslmode") && mode !== "disable") query.set("uselibpqcompat", "true");
  const options = optionsOf(given);
  if (options !== "") query.set("options", options);
  // A plus sign is a plus sign here, not a space.
  const search = [...query].map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&");
  return `postgres://${loginOf(given)}${isSocket ? "localhost" : bracketed(host)}${portOf(given)}/${nameOf(given)}${search === "" ? "" : `?${search}`}`;
}

function sslModeOf(given: Parameters): string {
  const mode = given.get("sslmode") || (/^(?:true|1)$/.test(given.get("ssl") ?? "") ? "require" : "");
  // Which of the two is tried first makes no difference to what is safe.
  if (mode === "allow") return "prefer";
  if (mode !== "" && !SSL_MODES.some((one) => one === mode)) {
    throw new PostgresUrlError(`has an unknown sslmode: it must be one of ${SSL_MODES.join(", ")}`);
  }
  if (mode === "verify-ca" && !given.get("sslrootcert")) {
    throw new PostgresUrlError(
      "needs sslrootcert=FILE with sslmode=verify-ca; verify-full takes the authorities of this machine",
    );
  }
  return mode;
}

/** The host, `/…` for the folder of a socket. */
function hostOf(given: Parameters, mode: string): string {
  const [host = "", address = ""] = [given.get("host"), given.get("hostaddr")];
  if ([host, address, given.get("port") ?? ""].some((one) => one.includes(","))) {
    throw new PostgresUrlError("names several hosts: mxcdn connects to one; name the primary, or what leads to it");
  }
  if (address !== "" && host !== "" && mode === "verify-full") {
    throw new PostgresUrlError(
      "cannot be used with host and hostaddr both where sslmode is verify-full: leave hostaddr out",
    );
  }
  const used = address || host || "localhost";
  if (!/^(?:\/|[\w.-]+$|[0-9A-Fa-f:.]+$)/.test(used)) throw new PostgresUrlError("names a host that is none");
  return used;
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function portOf(given: Parameters): string {
  const port = given.get("port") ?? "";
  if (port === "") return "";
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535 || Number(port) === 0) {
    throw new PostgresUrlError("names a port that is none: it must be a number from 1 to 65535");
  }
  return `:${port}`;
}

function loginOf(given: Parameters): string {
  const [user = "", password = ""] = [given.get("user"), given.get("password")];
  if (user === "" && password === "") return "";
  return `${encodeURIComponent(user)}${password === "" ? "" : `:${encodeURIComponent(password)}`}@`;
}

/** `pg` undoes `encodeURI`, which leaves these as they are. */
function nameOf(given: Parameters): string {
  const name = given.get("dbname") ?? "";
  if (/[?#]|^\.{1,2}$|\/\.{0,2}(?:\/|$)/.test(name))
    throw new PostgresUrlError("names a database whose name cannot be used");
  return encodeURI(name);
}

/** What is no parameter of a connection is a setting of the session, as with `lib/pq`. */
function optionsOf(given: Parameters): string {
  const settings = [...given].filter(([key]) => !isKnownParameter(key));
  const set = settings.map(([key, value]) => `-c ${key}=${value.replace(/[\s\\]/g, "\\$&")}`);
  return [given.get("options") ?? "", ...set].filter((one) => one !== "").join(" ");
}
