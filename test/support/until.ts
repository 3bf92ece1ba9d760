const PATIENCE_MS = 60_000;

/** Waits until something is found or so, and resolves with it. Throws with what `otherwise` says when that takes far too long. */
export async function until<T>(
  look: () => Promise<T> | T,
  otherwise: string,
  { withinMs = PATIENCE_MS }: { readonly withinMs?: number } = {},
): Promise<Exclude<T, false | undefined>> {
  for (const deadline = Date.now() + withinMs; ; ) {
    const found = await look();
    if (found !== false && found !== undefined) return found as Exclude<T, false | undefined>;
    if (Date.now() > deadline) throw new Error(`not in time: ${otherwise}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
