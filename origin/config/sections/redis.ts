import * as z from "zod";
import { count, flag, needed } from "../fields.ts";

/** `redis`: hints shared by several processes. */
export const redisSchema = z
  .object({
    enabled: flag(false, "Use Redis."),
    databaseNumber: count(0, "Which of its databases."),
    shards: z
      .array(
        z.object({
          name: needed("Its name. Decides what it holds, so it must not change."),
          addr: needed("Its address: `host:port`, or `redis://user:password@host:port` (`rediss://` with TLS).").refine(
            isRedisAddress,
            { error: "must be host:port, or start with redis:// or rediss://" },
          ),
        }),
        { error: "must be a list of shards" },
      )
      .default([])
      .meta({ description: "The servers." }),
  })
  .prefault({})
  .meta({
    description: "Redis: hints that several processes share. Everything works without it, slower.",
    live: false,
  });

/** `:7000` means this machine, as in matrix-media-repo's sample. */
export function withHost(address: string): string {
  return address.startsWith(":") ? `localhost${address}` : address;
}

function isRedisAddress(address: string): boolean {
  const url = address.includes("://") ? address : `redis://${withHost(address)}`;
  return URL.canParse(url) && /^rediss?:$/.test(new URL(url).protocol) && new URL(url).hostname !== "";
}
