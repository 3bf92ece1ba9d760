import * as z from "zod";
import { count, text } from "../fields.ts";
import { postgresUrl } from "../postgres/postgres_url.ts";

/** `database`: where the truth lies. */
export const databaseSchema = z
  .object({
    postgres: postgresUrl(
      "The PostgreSQL database, `postgres://user:password@host/name?sslmode=disable`. Without it an embedded database in `folder` is used: for trying, developing and one small server.",
    ),
    folder: text(
      "./data/db",
      "Where the embedded database keeps its files; otherwise in the folder of `--data`. New with mxcdn; ignored where `postgres` is set.",
    ),
    pool: z
      .object({
        maxConnections: count(25, "How many connections the process may hold.", { least: 1 }),
        maxIdleConnections: count(5, "idle connections are closed after a while.", { status: "retired" }),
      })
      .prefault({})
      .meta({ description: "Connections to PostgreSQL." }),
  })
  .prefault({})
  .meta({ description: "Where the bookkeeping lies.", live: false });
