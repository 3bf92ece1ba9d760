import { codeOf, connectionTrouble, type Trouble, withCauses } from "./connection_trouble.ts";

/** Why a PostgreSQL server cannot be used, in an operator's words. */

const KEY = "database.postgres";

/** By the code that the server sends (PostgreSQL documentation, appendix A). */
const BY_STATE: Readonly<Record<string, Trouble>> = {
  "28P01": { why: "it refuses the password", cure: `set the right user and password in ${KEY}` },
  "28000": {
    why: "it does not let this user in",
    cure: `name another user in ${KEY}, or let this one in (pg_hba.conf)`,
  },
  "3D000": { why: "there is no database of this name", cure: "make it (CREATE DATABASE … OWNER …), or name another" },
  "42501": { why: "the user may not do there what is needed", cure: "make it the owner (ALTER DATABASE … OWNER TO …)" },
  "25006": { why: "it is read-only, as a standby is", cure: "name the primary server" },
  "53100": { why: "the disk of the server is full", cure: "make room there" },
  "53300": {
    why: "it takes no more connections",
    cure: "raise max_connections there, or lower database.pool.maxConnections",
  },
  "57P03": { why: "it is starting, or being stopped", cure: "start mxcdn when it is ready" },
  "42P07": { why: "it holds tables of something else", cure: "give mxcdn a new, empty database" },
  "42710": { why: "it holds objects of something else", cure: "give mxcdn a new, empty database" },
  "08P01": {
    why: "what answers is no PostgreSQL, or PgBouncer, which has no LISTEN",
    cure: "name the server itself, and not what stands before it",
  },
};

/** By what `pg` says itself, which has no codes for it. */
const BY_WORDS: readonly (readonly [RegExp, Trouble])[] = [
  [
    /does not support SSL/,
    { why: "it does not speak TLS", cure: `switch TLS on there, or put sslmode=disable into ${KEY}` },
  ],
  [/client password must be a (?:non-empty )?string/, { why: "it wants a password", cure: `put one into ${KEY}` }],
  [/SASL|SCRAM/, { why: "it refuses the password", cure: `set the right user and password in ${KEY}` }],
  [
    /timeout expired|connection timeout|timeout exceeded/i,
    { why: "it does not answer in time", cure: "see that it runs, and that no firewall is between" },
  ],
  [
    /received invalid response|unexpected message|Connection terminated|SSL connection/i,
    { why: "what listens there answers as no PostgreSQL does", cure: "see that host and port are the right ones" },
  ],
];

const TLS_WANTED: Trouble = {
  why: "it does not let this user in without TLS",
  cure: `put sslmode=require into ${KEY}, or let the user in (pg_hba.conf)`,
};
const NO_USER: Trouble = { why: "no user is named", cure: `name one in ${KEY}` };

/** What is wrong with a server; `undefined` where nothing is known of it. */
export function databaseTrouble(error: unknown): Trouble | undefined {
  for (const one of withCauses(error)) {
    if (!(one instanceof Error)) continue;
    const found = ofServer(one) ?? unfit(one) ?? unreadable(one);
    if (found) return found;
  }
  const words = withCauses(error).map((one) => (one instanceof Error ? one.message : ""));
  return connectionTrouble(error) ?? BY_WORDS.find(([pattern]) => words.some((text) => pattern.test(text)))?.[1];
}

function ofServer(error: Error): Trouble | undefined {
  const code = codeOf(error) ?? "";
  if (code === "28000" && /no encryption|SSL off/.test(error.message)) return TLS_WANTED;
  if (code === "28000" && /no PostgreSQL user name/.test(error.message)) return NO_USER;
  return BY_STATE[code];
}

/** See `stores/db/migrate.ts`: the same for a server and for the embedded database. */
export function schemaTrouble(error: unknown): Trouble | undefined {
  const mismatch = withCauses(error).find((one) => one instanceof Error && "unfit" in one && one.unfit === "schema");
  if (!(mismatch instanceof Error)) return undefined;
  return { why: mismatch.message, cure: "give mxcdn a new, empty database, or start the version that made this one" };
}

/** See `server_fitness.ts`. */
function unfit(error: Error): Trouble | undefined {
  switch ("unfit" in error ? error.unfit : undefined) {
    case "too_old":
      return { why: error.message, cure: "upgrade it" };
    case "read_only":
      return { why: error.message, cure: "name the primary server" };
    case "encoding":
      return {
        why: error.message,
        cure: "make the database anew (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0)",
      };
    case "schema":
      return schemaTrouble(error);
    default:
      return undefined;
  }
}

/** A file of `sslrootcert` and its kin. */
function unreadable(error: Error): Trouble | undefined {
  if (!("syscall" in error) || error.syscall !== "open" || !("path" in error)) return undefined;
  return {
    why: `the file ${String(error.path)} cannot be read (${codeOf(error)})`,
    cure: `name a file that can in ${KEY}`,
  };
}
