import { type Log, silentLog } from "../../../origin/platform/log.ts";

/** A line of the log that an operator should see. */
export interface Complaint {
  readonly message: string;
  readonly details: Record<string, unknown>;
}

/** A log that keeps its warnings and errors. */
export function complaintsLog(): { readonly log: Log; readonly complaints: Complaint[] } {
  const complaints: Complaint[] = [];
  const complain = (details: object, message: string) => {
    complaints.push({ message, details: details as Record<string, unknown> });
  };
  const log = { ...silentLog, warn: complain, error: complain } as unknown as Log;
  return { log, complaints };
}
