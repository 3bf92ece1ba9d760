import type { Config } from "../../config/schema.ts";

/** What to say once at start where the embedded database is used; `undefined` where PostgreSQL is. */
export function embeddedNotice(config: Config): string | undefined {
  if (config.database.postgres !== "") return undefined;
  return (
    `the database is the embedded one in ${config.database.folder}: good for trying, developing and one small server. ` +
    "It survives a crash of the process, not a power failure; for more, set database.postgres"
  );
}
