/** Knows the secrets that stand in samples: who has left one there has no secret. */

/** What samples of matrix-media-repo, of its documentation and of the Ansible playbook have where a secret goes, without case and signs. */
const SAMPLES = new Set([
  "replaceme",
  "putsomerandomsecurevaluehere",
  "yourpassword",
  "yourusername",
  "changeme",
  "accesskeygoeshere",
  "secretkeygoeshere",
  "secrettokenofappservicefromregistration",
]);

/** An invitation to put something else there: `CHANGE_THIS`, `your-secret-here`, `insert the token`. Nobody draws that by lot. */
const INVITATION =
  /^(?:please|change|replace|put|insert|enter|set|use|your|the|some)[a-z]*(?:me|this|it|here|secret|token|password|key|value)$/;

/** A place that something was to fill in: `<secret>`, `{{ secret }}`, `${SECRET}`. */
const BLANK = /^(?:<[^<>]*>|\{\{.*\}\}|\$\{.*\}|\$\(.*\)|…|\.{3})$/s;

/** Is this what a sample has, or a blank of it, and nobody's secret? Nothing is neither. */
export function isSampleSecret(text: string): boolean {
  const trimmed = text.trim();
  if (BLANK.test(trimmed)) return true;
  const letters = trimmed.toLowerCase().replace(/[\s_.!-]+/g, "");
  return SAMPLES.has(letters) || INVITATION.test(letters);
}
