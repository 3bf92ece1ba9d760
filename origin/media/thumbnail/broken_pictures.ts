import { LRUCache } from "lru-cache";
import type { ThumbnailSpec } from "../../../shared/matrix/thumbnail_size.ts";
import type { Domain } from "../../domains/domain.ts";
import { PictureError } from "../../imaging/imaging_errors.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import type { Media } from "../../stores/db/tables/media.ts";
import type { MadeThumbnail, MakeThumbnail } from "./generate.ts";
import type { Turn } from "./shared_making.ts";

/** For how long a picture that could not be drawn is not tried again, in milliseconds. */
const KEEP_MS = 5 * 60_000;
/** The same for one that the machine was too busy for: it may be a good one. */
const KEEP_SLOW_MS = 30_000;
/** Bounded, since anybody may upload what is no picture. */
const MAX_KNOWN = 20_000;
/** What is larger takes a decoder more time and memory: that it fails says nothing of what is small. */
const SMALL_SIDE = 1_024;

/**
 * The same making of thumbnails, but pictures that cannot be drawn are remembered for some minutes: each try may hold a decoder
 * until its time is over, and there are few. Of many who want thumbnails of one picture at once the first tries alone, on the
 * account of whichever of them may first. Only what `PictureError` says is remembered, never a failure that is ours.
 */
export function rememberBroken(generate: MakeThumbnail, { clock }: { readonly clock: SteadyClock }): MakeThumbnail {
  const broken = new LRUCache<string, { readonly error: PictureError; readonly untilMs: number }>({ max: MAX_KNOWN });
  const trying = new Map<string, { readonly turn: Turn; readonly over: Promise<void> }>();

  return async function generateUnlessBroken(domain, media, spec, turn) {
    const key = keyOf(domain, media, spec);
    const first = trying.get(key);
    if (first) {
      first.turn.ticket.support(turn.claim);
      await first.over;
    }
    const known = broken.get(key);
    if (known && clock() < known.untilMs) throw known.error;
    const made = attempt(key, () => generate(domain, media, spec, turn));
    if (!trying.has(key)) trying.set(key, { turn, over: settled(made).finally(() => trying.delete(key)) });
    return await made;
  };

  async function attempt(key: string, work: () => Promise<MadeThumbnail>): Promise<MadeThumbnail> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof PictureError) {
        const keepMs = error.trouble === "slow" ? KEEP_SLOW_MS : KEEP_MS;
        broken.set(key, { error, untilMs: clock() + keepMs });
      }
      throw error;
    }
  }
}

async function settled(work: Promise<unknown>): Promise<void> {
  await work.catch(() => undefined);
}

/** What two thumbnails of a picture have in common when one of them fails. The domain decides on formats, frames and motion. */
function keyOf(domain: Domain, { blob }: Media, { animated, width, height }: ThumbnailSpec): string {
  const size = Math.max(width, height) <= SMALL_SIDE ? "small" : "large";
  const formats = [...domain.thumbnails.formats].join();
  return `${domain.serverName} ${formats} ${blob.sha256} ${animated ? "moving" : "still"} ${size}`;
}
