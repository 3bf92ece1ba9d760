import { LRUCache } from "lru-cache";
import { MatrixError } from "../../../shared/matrix_error.ts";
import type { ThumbnailSpec } from "../../../shared/thumbnail_size.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import type { Media } from "../../stores/db/media.ts";
import type { Thumbnail } from "../../stores/db/thumbnails.ts";
import type { Domain } from "../domain.ts";
import type { MakeThumbnail } from "./generate.ts";

/** For how long a picture that could not be drawn is not tried again, in milliseconds. */
const KEEP_MS = 5 * 60_000;
/** Bounded, since anybody may upload what is no picture. */
const MAX_KNOWN = 20_000;
/** What is larger takes a decoder more time and memory: that it fails says nothing of what is small. */
const SMALL_SIDE = 1_024;

/**
 * The same making of thumbnails, but pictures that cannot be drawn are remembered for some minutes: each try may hold a decoder
 * until its time is over, and there are few. Of many who want thumbnails of one picture at once the first tries alone. Only
 * failures that are the picture's are remembered (400 and 413), never ours.
 */
export function rememberBroken(generate: MakeThumbnail, { clock }: { readonly clock: SteadyClock }): MakeThumbnail {
  const broken = new LRUCache<string, { readonly error: MatrixError; readonly untilMs: number }>({ max: MAX_KNOWN });
  const trying = new Map<string, Promise<unknown>>();

  return async function generateUnlessBroken(domain, media, spec) {
    const key = keyOf(domain, media, spec);
    const first = trying.get(key);
    if (first) await first;
    const known = broken.get(key);
    if (known && clock() < known.untilMs) throw known.error;
    const made = attempt(key, () => generate(domain, media, spec));
    if (!trying.has(key))
      trying.set(
        key,
        settled(made).finally(() => trying.delete(key)),
      );
    return await made;
  };

  async function attempt(key: string, work: () => Promise<Thumbnail>): Promise<Thumbnail> {
    try {
      return await work();
    } catch (error) {
      if (isOfPicture(error)) broken.set(key, { error, untilMs: clock() + KEEP_MS });
      throw error;
    }
  }
}

async function settled(work: Promise<unknown>): Promise<void> {
  await work.catch(() => undefined);
}

/** What two thumbnails of a picture have in common when one of them fails. The domain decides on frames and motion. */
function keyOf({ serverName }: Domain, { blob }: Media, { animated, width, height }: ThumbnailSpec): string {
  const size = Math.max(width, height) <= SMALL_SIDE ? "small" : "large";
  return `${serverName} ${blob.sha256} ${animated ? "moving" : "still"} ${size}`;
}

function isOfPicture(error: unknown): error is MatrixError {
  return error instanceof MatrixError && (error.status === 400 || error.status === 413);
}
