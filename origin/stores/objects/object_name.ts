/** What the name of an object of ours says. */
export interface NamedBody {
  readonly sha256: string;
  readonly generation: number;
}

const NAME = /^([0-9a-f]{64})-(\d{1,16})$/;

/** The name of a body's object: its hash, of whose beginning a datastore may have made folders, and its generation. */
export function objectName(stem: string, generation: number): string {
  return `${stem}-${generation}`;
}

/**
 * Reads a location whose slashes are where a datastore put them. `undefined` for what this service did not name: objects
 * of matrix-media-repo, or of somebody else who uses the same place. Those are never ours to sweep.
 */
export function parseObjectName(location: string): NamedBody | undefined {
  const match = NAME.exec(location.replaceAll("/", ""));
  if (!match?.[1] || !match[2]) return undefined;
  return { sha256: match[1], generation: Number(match[2]) };
}
