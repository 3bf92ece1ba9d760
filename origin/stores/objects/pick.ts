/** A datastore of the configuration: `all` stands for every kind, an empty list for "only to be read". */
export interface Candidate<S, K extends string> {
  readonly id: string;
  readonly forKinds: readonly (K | "all")[];
  readonly store: S;
}

/**
 * Makes the function that says which datastore takes a new object of a kind: of those that list the kind the one with the
 * fewest bytes, and of equals the first of the configuration. `estimateBytes` (bytes held, by id) is asked only where there
 * is a choice; it should remember its answer.
 *
 * Errors: an Error when no datastore takes the kind.
 */
export function makePickDatastore<S, K extends string>(
  candidates: readonly Candidate<S, K>[],
  estimateBytes: () => Promise<ReadonlyMap<string, number>>,
): (kind: K) => Promise<S> {
  return async function pickDatastore(kind) {
    const able = candidates.filter(({ forKinds }) => forKinds.includes(kind) || forKinds.includes("all"));
    const bytes = able.length > 1 ? await estimateBytes() : new Map<string, number>();
    const held = ({ id }: { readonly id: string }) => bytes.get(id) ?? 0;
    const [first, ...others] = able;
    if (!first) throw new Error(`Cannot store anything: no datastore of the configuration takes ${kind}`);
    return others.reduce((best, next) => (held(next) < held(best) ? next : best), first).store;
  };
}
