/**
 * Whether a text is what a glob says: `*` stands for anything, nothing included; every other character for itself. Takes
 * time in proportion to the text for each star, whatever the glob.
 */
export function matchesGlob(glob: string, text: string): boolean {
  const [head = "", ...parts] = glob.split("*");
  const tail = parts.pop();
  if (tail === undefined) return text === head;
  if (text.length < head.length + tail.length || !text.startsWith(head) || !text.endsWith(tail)) return false;
  const end = text.length - tail.length;
  let at = head.length;
  for (const part of parts) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
