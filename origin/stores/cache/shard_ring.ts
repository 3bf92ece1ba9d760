import { createHash } from "node:crypto";

/**
 * Spreads keys over shards by rendezvous hashing: a key belongs to the shard that scores highest for it. When a shard is
 * added or taken away, only the keys it gains or held change their place. Throws where there is no shard.
 */
export function makeRing<S extends { readonly name: string }>(shards: readonly S[]): (key: string) => S {
  const [first, ...others] = shards;
  if (!first) throw new Error("Cannot spread keys over no shards");
  return (key) => {
    let best = first;
    if (others.length === 0) return best;
    let highest = score(first.name, key);
    for (const shard of others) {
      const own = score(shard.name, key);
      if (own > highest) [best, highest] = [shard, own];
    }
    return best;
  };
}

/** 48 bits of a hash: more than enough that no two shards score alike. */
function score(name: string, key: string): number {
  return createHash("sha1").update(name).update("\0").update(key).digest().readUIntBE(0, 6);
}
