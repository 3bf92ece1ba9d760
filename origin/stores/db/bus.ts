import * as z from "zod";
import type { Log } from "../../platform/log.ts";
import type { Database, Queryable } from "./database.ts";

/**
 * What the processes of an origin tell each other, through the database that they share. A hint, never the truth: a process
 * that is not connected at that moment misses it. Anything that may connect to the database can send on a channel, and so can
 * a newer or older version of this service: what arrives is read by a schema.
 */

/** A channel: its name in the database, and how its news become text and are read again. */
export interface Channel<T> {
  readonly name: string;
  readonly write: (news: T) => string;
  /** Of the text. */
  readonly schema: z.ZodType<T>;
}

/** What a channel's news are handed to. What either function throws is logged. */
export interface ChannelListener<T> {
  onNews(news: T): Promise<void> | void;
  /**
   * The connection was lost and is back. News that were sent meanwhile are lost, so that whatever is remembered because nothing
   * was heard to the contrary may be wrong.
   */
  onReconnect(): Promise<void> | void;
}

/** What a {@link Bus} stands on. */
export interface BusParts {
  readonly db: Database;
  readonly log: Log;
  readonly metrics: { newsIgnored(channel: string): void };
}

/** A channel whose news are text of this form. */
export function textChannel(name: string, schema: z.ZodType<string>): Channel<string> {
  return { name, write: (text) => text, schema };
}

/** A channel whose news are JSON of this form. */
export function jsonChannel<T>(name: string, schema: z.ZodType<T>): Channel<T> {
  return { name, write: (news) => JSON.stringify(news), schema: z.string().transform(parseJson).pipe(schema) };
}

/** Sends and listens on channels, all on one connection. Closed with its database. */
export class Bus {
  readonly #parts: BusParts;

  constructor(parts: BusParts) {
    this.#parts = parts;
  }

  /** Sends news (at most 7999 bytes of text) to every process, this one too; in a transaction `tx`, when it is committed. */
  async send<T>(channel: Channel<T>, news: T, tx: Queryable = this.#parts.db): Promise<void> {
    await tx.query("SELECT pg_notify($1, $2)", [channel.name, channel.write(news)]);
  }

  /**
   * Listens on a channel until the returned function is called. Invalid news are counted and ignored; the log says so once per
   * channel. Throws when there is no connection to begin with.
   */
  async listen<T>(channel: Channel<T>, listener: ChannelListener<T>): Promise<() => Promise<void>> {
    const { db, log, metrics } = this.#parts;
    let isLogged = false;
    return await db.listen(channel.name, {
      onPayload: (payload) => {
        const { success, data, error } = channel.schema.safeParse(payload);
        if (success) return void this.#run(channel.name, () => listener.onNews(data));
        metrics.newsIgnored(channel.name);
        // Not the payload itself: it may name a token.
        const why = error.issues[0]?.message;
        if (!isLogged) log.warn({ channel: channel.name, length: payload.length, why }, "ignored unreadable news");
        isLogged = true;
      },
      onReconnect: () => void this.#run(channel.name, () => listener.onReconnect()),
    });
  }

  async #run(channel: string, work: () => Promise<void> | void): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#parts.log.error({ channel, error }, "channel listener failed");
    }
  }
}

function parseJson(text: string, context: z.core.$RefinementCtx): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    context.addIssue({ code: "custom", message: "not JSON" });
    return z.NEVER;
  }
}
