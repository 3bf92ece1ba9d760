import type { Queryable } from "./database.ts";

/** The oldest major version of PostgreSQL whose language the migrations and queries speak (`gen_random_uuid`). */
const OLDEST_MAJOR = 13;

/** The server cannot be used, although it lets us in. */
export class UnfitServerError extends Error {
  override readonly name = "UnfitServerError";
  readonly unfit: "too_old" | "read_only" | "encoding";

  constructor(unfit: UnfitServerError["unfit"], message: string) {
    super(message);
    this.unfit = unfit;
  }
}

/** Makes sure that a server can be written to, is new enough, and keeps text as Unicode. Throws {@link UnfitServerError}. */
export async function demandFitServer(db: Queryable): Promise<void> {
  const { rows } = await db.query<{ version: number; read_only: string; encoding: string }>(
    `SELECT current_setting('server_version_num')::int AS version, current_setting('transaction_read_only') AS read_only,
            current_setting('server_encoding') AS encoding`,
  );
  const { version = 0, read_only: readOnly, encoding = "" } = rows[0] ?? {};
  const major = Math.floor(version / 10_000);
  if (major < OLDEST_MAJOR) {
    throw new UnfitServerError(
      "too_old",
      `it is PostgreSQL ${major}, and ${OLDEST_MAJOR} is the oldest that can be used`,
    );
  }
  if (readOnly === "on") throw new UnfitServerError("read_only", "it is read-only, as a standby is");
  if (encoding !== "UTF8") throw new UnfitServerError("encoding", `its encoding is ${encoding.slice(0, 20)}, not UTF8`);
}
