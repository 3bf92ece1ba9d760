/** A publication to the edge that an answer waits for with its last bytes, so that the edge's next request is a hit. */
export interface Publication {
  /** Resolves when it is over, whatever came of it. */
  readonly over: Promise<void>;
  /** How long the last bytes may wait for it, in milliseconds. */
  readonly waitMs: number;
}

/**
 * What is being published, as something to wait for. It may be left alone: what it fails with is dealt with by whoever publishes,
 * and an answer that fails before it has waited must leave no rejection behind that nobody handles.
 */
export function publicationOf(published: Promise<unknown>, waitMs: number): Publication {
  const over = published.then(ignore, ignore);
  return { over, waitMs };
}

/** Passes everything on at once but for the last chunk, which waits for the publication. */
export async function* holdLast(
  source: AsyncIterable<Uint8Array>,
  publication: Publication,
): AsyncGenerator<Uint8Array> {
  let held: Uint8Array | undefined;
  for await (const chunk of source) {
    if (held) yield held;
    held = chunk;
  }
  await withinWait(publication);
  if (held) yield held;
}

/** Waits for a publication, but no longer than it says, whatever comes of it. */
export async function withinWait(publication: Publication | undefined): Promise<void> {
  if (!publication) return;
  let timer: NodeJS.Timeout | undefined;
  const waited = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, publication.waitMs);
  });
  await Promise.race([publication.over, waited]);
  clearTimeout(timer);
}

function ignore(): void {}
