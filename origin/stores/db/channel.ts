import * as z from "zod";
import type { Log } from "../../platform/log.ts";
import type { Database } from "./database.ts";

/**
 * News between processes: what is sent by `NOTIFY` on a channel, read by a schema. Whoever may connect to the database can send
 * anything, and so can a newer or older version of this service.
 */

/** A channel, and how the text of a notification on it is read. */
export interface Channel<T> {
  readonly name: string;
  readonly news: z.ZodType<T>;
}

/** Who hears a channel. What either function throws is logged. */
export interface NewsHearer<T> {
  onNews(news: T): Promise<void> | void;
  /** See `Hearer.onGap`. */
  onGap(): Promise<void> | void;
}

/** What {@link hear} needs beside the database. */
export interface HearParts {
  readonly log: Log;
  readonly metrics: { newsIgnored(channel: string): void };
}

/** A schema of the text of a JSON document. */
export function jsonText<T>(schema: z.ZodType<T>): z.ZodType<T> {
  return z
    .string()
    .transform((text, context) => {
      try {
        return JSON.parse(text) as unknown;
      } catch {
        context.addIssue({ code: "custom", message: "not JSON" });
        return z.NEVER;
      }
    })
    .pipe(schema);
}

/**
 * Hears a channel until the returned function is called. News that cannot be read are counted and ignored; the log says so once
 * a channel.
 */
export async function hear<T>(
  db: Pick<Database, "listen">,
  channel: Channel<T>,
  hearer: NewsHearer<T>,
  { log, metrics }: HearParts,
): Promise<() => Promise<void>> {
  let saidSo = false;
  return await db.listen(channel.name, {
    onPayload(payload) {
      const { success, data, error } = channel.news.safeParse(payload);
      if (success) return void run(() => hearer.onNews(data));
      metrics.newsIgnored(channel.name);
      // Not what they are: they may name a token.
      const why = error.issues[0]?.message;
      if (!saidSo) log.warn({ channel: channel.name, length: payload.length, why }, "ignored unreadable news");
      saidSo = true;
    },
    onGap: () => void run(() => hearer.onGap()),
  });

  async function run(work: () => Promise<void> | void): Promise<void> {
    try {
      await work();
    } catch (error) {
      log.error({ channel: channel.name, error }, "cannot act on news");
    }
  }
}
