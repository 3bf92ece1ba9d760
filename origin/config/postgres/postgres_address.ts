import { isKnownParameter, type Parameters, PostgresUrlError } from "./postgres_parameters.ts";

/** One way to read an address. */
interface Reading {
  /** User and password as they were written; `undefined`: there are none. */
  readonly login: string | undefined;
  readonly hosts: string;
  readonly name: string;
  readonly query: readonly (readonly [string, string])[];
}

/** Hosts with ports (IPv6 in brackets, sockets as `%2Frun…`), a database without anything reserved, parameters. */
const PLACE =
  /^((?:\[[0-9A-Fa-f:.%]+\]|[\w.%-]*)(?::\d*)?(?:,(?:\[[0-9A-Fa-f:.%]+\]|[\w.%-]*)(?::\d*)?)*)(?:\/([^/?#@]*))?(?:\?(.*))?$/s;
const ESCAPED = /%[0-9A-Fa-f]{2}/;
const NOT_ESCAPED = /%(?![0-9A-Fa-f]{2})/;

/**
 * Reads what follows `postgres://`. Passwords are often written as they are, with `@`, `/`, `#`, `?` or `%` in them: they are
 * taken so where there is only one way to read the whole.
 *
 * Errors: {@link PostgresUrlError} where there is none, or more than one.
 */
export function readPostgresAddress(address: string): Parameters {
  const reading = chooseReading(readings(address));
  const [user, password] = splitLogin(reading.login);
  const [host, port] = splitHosts(reading.hosts);
  const parts = { user, password, host, port, dbname: decode(reading.name) };
  const given = Object.entries(parts).filter(
    (part): part is [string, string] => part[1] !== undefined && part[1] !== "",
  );
  // What stands behind the question mark counts more, as in libpq.
  return new Map([...given, ...reading.query.map(([key, value]) => [decode(key), decode(value)] as const)]);
}

/** All ways to read it: the user and the password may end at any `@`. */
function readings(address: string): Reading[] {
  const ends = [...address.matchAll(/@/g)].map(({ index }) => index);
  const logins = ends.map((end) => ({ login: address.slice(0, end), place: address.slice(end + 1) }));
  return [...logins, ...(ends.length === 0 ? [{ login: undefined, place: address }] : [])].flatMap(
    ({ login, place }) => {
      const [all, hosts = "", name = "", query] = PLACE.exec(place) ?? [];
      const pairs = query === undefined || query === "" ? [] : query.split("&").map(splitPair);
      return all === undefined || pairs.some(([key]) => !/^[\w.%-]+$/.test(key))
        ? []
        : [{ login, hosts, name, query: pairs }];
    },
  );
}

function splitPair(pair: string): [string, string] {
  const [key = "", value = ""] = pair.split(/=(.*)/s, 2);
  return [key, value];
}

/** Of several readings the usual one is meant if all its parameters are known: an `@` may stand in one of them. */
function chooseReading(found: readonly Reading[]): Reading {
  const [first] = found;
  if (!first) throw unclear();
  const isUsual = !/[@/?#]/.test(first.login ?? "") && first.query.every(([key]) => isKnownParameter(key));
  if (found.length > 1 && !isUsual) throw unclear();
  return first;
}

function splitLogin(login: string | undefined): [string | undefined, string | undefined] {
  if (login === undefined) return [undefined, undefined];
  const isRaw = /[@/?#\s]/.test(login) || NOT_ESCAPED.test(login);
  // Half of it is written as it is, and half of it is not.
  if (isRaw && ESCAPED.test(login)) throw unclear();
  const [user = "", password] = login.split(/:(.*)/s, 2);
  return isRaw ? [user, password] : [decode(user), password === undefined ? undefined : decode(password)];
}

function splitHosts(hosts: string): [string | undefined, string | undefined] {
  const each = hosts.split(",").map((one) => /^(.*?)(?::(\d*))?$/.exec(one) ?? []);
  const names = each.map(([, name = ""]) => decode(name.replace(/^\[(.*)\]$/, "$1")));
  const ports = each.map(([, , port = ""]) => port);
  return [names.join(","), ports.some((port) => port !== "") ? ports.join(",") : undefined];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw unclear();
  }
}

function unclear(): PostgresUrlError {
  return new PostgresUrlError(
    "cannot be read for certain: a user or password with reserved characters must be written with %40 for @, %2F for /, %3A for :, %23 for #, %3F for ? and %25 for %, or in the form host=… user=… password='…' dbname=…",
  );
}
