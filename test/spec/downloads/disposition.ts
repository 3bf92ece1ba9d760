/** What a `Content-Disposition` says to a client that follows RFC 6266 and RFC 8187; written apart from the code that makes it. */
export interface Disposition {
  readonly kind: string;
  readonly fileName: string | undefined;
}

/** Reads a header. `filename*` counts more than `filename`. */
export function readDisposition(header: string | undefined): Disposition {
  const text = header ?? "";
  const parameters = new Map<string, string>();
  for (const [, name = "", value = ""] of text.matchAll(/; ([a-z*]+)=("(?:[^"\\]|\\.)*"|[^;]*)/g)) {
    parameters.set(name, value);
  }
  const extended = /^UTF-8''(.*)$/.exec(parameters.get("filename*") ?? "")?.[1];
  const quoted = /^"((?:[^"\\]|\\.)*)"$/.exec(parameters.get("filename") ?? "")?.[1];
  const fileName = extended === undefined ? quoted?.replace(/\\(.)/g, "$1") : decodeURIComponent(extended);
  return { kind: text.split(";", 1)[0] ?? "", fileName };
}
