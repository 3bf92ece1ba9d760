/** What a media is called whose type is unknown (CS API, download: Content-Type). */
const DEFAULT_TYPE = "application/octet-stream";

/** Longest content type that is kept with its parameters, in characters. */
const MAX_LENGTH = 255;

/** RFC 9110 §8.3.1: type "/" subtype, then parameters; empty ones are allowed (§5.6.6). */
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const MEDIA_TYPE = new RegExp(`^(${TOKEN}/${TOKEN})(?=[ \\t]*(;|$))`);
const VALUE = `(?:${TOKEN}|"(?:[\\t !#-\\[\\]-~]|\\\\[\\t -~])*")`;
// White space is taken either before a semicolon or before a name, never by two parts at once: else hostile headers take for ever.
const PARAMETERS = new RegExp(`^(?:[ \\t]*;(?:[ \\t]*${TOKEN}=${VALUE})?)*[ \\t]*$`);

/**
 * The content type to keep and to send for what an uploader or another server claimed: the claim itself where it is a media type, its
 * essence where only the parameters are broken or too long, else `application/octet-stream`. Never over 255 characters, always ASCII.
 *
 * Being strict is what makes the decision on `inline` safe: browsers split `image/png;, text/html` at the comma and believe the last.
 */
export function normaliseContentType(header: string | null | undefined): string {
  const text = (header ?? "").trim();
  const type = MEDIA_TYPE.exec(text.slice(0, MAX_LENGTH + 1))?.[1];
  if (type === undefined || type.length > MAX_LENGTH) return DEFAULT_TYPE;
  const whole = text.length <= MAX_LENGTH && PARAMETERS.test(text.slice(type.length));
  return whole ? text : type;
}

/** The type without its parameters, in lower case: `Text/Plain; charset=utf-8` is `text/plain`. */
export function essence(contentType: string): string {
  return (contentType.split(";", 1)[0] ?? "").trim().toLowerCase();
}
