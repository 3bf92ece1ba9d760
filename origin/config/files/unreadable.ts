/** Why a file cannot be read, in an operator's words, and what to do; of errors of the system by their codes. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file; see that the name is right",
  EACCES: "permission denied; let the user of this process read it",
  EPERM: "permission denied; let the user of this process read it",
  EISDIR: "it is a folder; name a file",
  ENOTDIR: "what should be a folder on the way there is a file; see that the name is right",
  ELOOP: "its links lead in a circle; name the file itself",
  EIO: "the disk has failed; see what the system's log says of it",
};

/** What is wrong with a file that could not be read; what the error says where nothing better is known. */
export function whyUnreadable(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return REASONS[code] ?? (error instanceof Error ? error.message : String(error));
}
