import * as z from "zod";

/** A key that holds the address of a PostgreSQL database; empty where there is none. */
export function postgresUrl(description: string) {
  return z
    .string({ error: "must be text such as postgres://user:password@host/name" })
    .transform((text, context) => {
      const url = normalisePostgres(text.trim());
      if (url !== undefined) return url;
      context.addIssue({ code: "custom", message: "must be an address such as postgres://user:password@host/name" });
      return z.NEVER;
    })
    .default("")
    .meta({ type: "URL", default: "", description });
}

/**
 * Makes the address that the `pg` library understands from what `lib/pq` (and so matrix-media-repo) understands: a URL, or
 * `key=value` pairs (libpq's documentation §34.1.1.1). `sslmode` keeps libpq's meaning: `require` encrypts, and only
 * `verify-ca` and `verify-full` look at the certificate. `undefined`: neither of the two.
 */
export function normalisePostgres(text: string): string | undefined {
  if (text === "") return "";
  const url = /^postgres(ql)?:\/\//.test(text) ? text : fromPairs(text);
  if (url === undefined || !URL.canParse(url)) return undefined;
  const parsed = new URL(url);
  const mode = parsed.searchParams.get("sslmode");
  if (mode === null || mode === "disable" || parsed.searchParams.has("uselibpqcompat")) return url;
  parsed.searchParams.set("uselibpqcompat", "true");
  return parsed.href;
}

/** Does this address lead to another machine without saying whether to encrypt? */
export function isSilentlyPlain(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { hostname, searchParams } = new URL(url);
  const host = searchParams.get("host") ?? hostname;
  return !searchParams.has("sslmode") && !/^(|localhost|127\..*|\[::1\]|\/.*|[^.]+)$/.test(host);
}

function fromPairs(text: string): string | undefined {
  const pairs = new Map<string, string>();
  const rest = text.replace(/(\w+)\s*=\s*('(?:\\.|[^'\\])*'|[^\s']+)/g, (_all, key: string, value: string) => {
    pairs.set(key, value.startsWith("'") ? value.slice(1, -1).replace(/\\(.)/g, "$1") : value);
    return "";
  });
  if (rest.trim() !== "" || pairs.size === 0) return undefined;
  const take = (key: string) => {
    const value = pairs.get(key) ?? "";
    pairs.delete(key);
    return encodeURIComponent(value);
  };
  const [user, password, name, port] = [take("user"), take("password"), take("dbname"), take("port")];
  const host = pairs.get("host") ?? "localhost";
  if (!host.startsWith("/")) pairs.delete("host");
  const login = user === "" ? "" : `${user}${password === "" ? "" : `:${password}`}@`;
  const address = host.startsWith("/") ? "localhost" : host;
  return `postgres://${login}${address}${port === "" ? "" : `:${port}`}/${name}?${new URLSearchParams([...pairs])}`;
}
