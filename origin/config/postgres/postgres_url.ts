import * as z from "zod";
import { readPostgresAddress } from "./postgres_address.ts";
import { readPostgresPairs } from "./postgres_pairs.ts";
import { type Parameters, PostgresUrlError, toPgUrl } from "./postgres_parameters.ts";

/** A key that holds the address of a PostgreSQL database; empty where there is none. */
export function postgresUrl(description: string) {
  return z
    .string({ error: "must be text such as postgres://user:password@host/name" })
    .transform((text, context) => {
      try {
        return normalisePostgres(text);
      } catch (error) {
        if (!(error instanceof PostgresUrlError)) throw error;
        context.addIssue({ code: "custom", message: error.message });
        return z.NEVER;
      }
    })
    .default("")
    .meta({ type: "URL", default: "", description });
}

/**
 * Makes the one form of address that the `pg` library reads as it is meant of all those that libpq and `lib/pq` (and so
 * matrix-media-repo) take: `postgres://` or `postgresql://`, or `key=value` pairs (PostgreSQL documentation, "Connection
 * Strings"). `sslmode` keeps libpq's meaning: `require` encrypts, and only `verify-ca` and `verify-full` look at the certificate.
 * Without a host it is localhost, as with `lib/pq`. Nothing stays nothing.
 *
 * Errors: {@link PostgresUrlError}, which shows no value of what was read.
 */
export function normalisePostgres(text: string): string {
  const trimmed = text.trim();
  return trimmed === "" ? "" : toPgUrl(parametersOf(trimmed));
}

/** Does this address lead to another machine without saying whether to encrypt? */
export function isSilentlyPlain(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { hostname, searchParams } = new URL(url);
  const host = searchParams.get("host") ?? hostname;
  return !searchParams.has("sslmode") && !/^(|localhost|127\..*|\[::1\]|\/.*|[^.]+)$/.test(host);
}

function parametersOf(text: string): Parameters {
  const address = /^postgres(?:ql)?:\/\/(.*)$/s.exec(text)?.[1];
  if (address !== undefined) return readPostgresAddress(address);
  if (/^\w+\s*=/.test(text)) return readPostgresPairs(text);
  throw new PostgresUrlError(
    "must be an address such as postgres://user:password@host/name, or pairs such as host=… user=… password=… dbname=…",
  );
}
