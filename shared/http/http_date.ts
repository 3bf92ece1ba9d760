const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const LONG_DAY = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)";
const TIME = "(?<hour>\\d\\d):(?<minute>\\d\\d):(?<second>\\d\\d)";
const MONTH = `(?<month>${MONTHS.join("|")})`;

/** RFC 9110 §5.6.7: the preferred form, then the two obsolete ones that must still be read. */
const FORMS = [
  new RegExp(`^${DAY}, (?<day>\\d\\d) ${MONTH} (?<year>\\d{4}) ${TIME} GMT$`),
  new RegExp(`^${LONG_DAY}, (?<day>\\d\\d)-${MONTH}-(?<year>\\d\\d) ${TIME} GMT$`),
  new RegExp(`^${DAY} ${MONTH} (?<day>[ \\d]\\d) ${TIME} (?<year>\\d{4})$`),
];

/** A time as an HTTP date, which knows whole seconds only. */
export function formatHttpDate(timeMs: number): string {
  return new Date(timeMs).toUTCString();
}

/** The milliseconds since the epoch of an HTTP date in any of its three forms; undefined for anything else. */
export function parseHttpDate(text: string): number | undefined {
  for (const form of FORMS) {
    const parts = form.exec(text.trim())?.groups;
    if (parts !== undefined) return timeOf(parts);
  }
  return undefined;
}

function timeOf(parts: Record<string, string | undefined>): number | undefined {
  const number = (name: string) => Number(parts[name]);
  const [day, hour, minute, second] = [number("day"), number("hour"), number("minute"), number("second")];
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const date = new Date(Date.UTC(fullYear(parts.year ?? ""), MONTHS.indexOf(parts.month ?? ""), day));
  // A day that its month does not have would roll over into the next.
  if (date.getUTCDate() !== day) return undefined;
  return date.getTime() + ((hour * 60 + minute) * 60 + second) * 1000;
}

/** Two digits are of 1970 to 2069: without a clock the RFC's "not over 50 years ahead" cannot be asked, and nothing here is older. */
function fullYear(text: string): number {
  const year = Number(text);
  if (text.length > 2) return year;
  return year < 70 ? 2000 + year : 1900 + year;
}
