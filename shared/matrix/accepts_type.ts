/** So much of a header is read, in characters: programs that send most send a few hundred. */
const MAX_HEADER = 4_096;

/**
 * Whether an `Accept` header (RFC 9110 §12.5.1) asks for a media type by its name: wildcards do not count, because programs that
 * send nothing else cannot always show everything. `q=0` refuses. The type is compared in lower case, its parameters are not looked at.
 */
export function acceptsByName(accept: string | null | undefined, type: string): boolean {
  for (const range of (accept ?? "").slice(0, MAX_HEADER).split(",")) {
    const [name = "", ...parameters] = range.split(";");
    if (name.trim().toLowerCase() === type) return !parameters.some((one) => /^\s*q\s*=\s*0(?:\.0*)?\s*$/i.test(one));
  }
  return false;
}
