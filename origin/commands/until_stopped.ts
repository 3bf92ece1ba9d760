import type { ServiceContext } from "./program.ts";
import { describeError } from "./trouble/describe_error.ts";

/** What a service has opened, each with how to close it. */
export type Closers = (() => Promise<unknown> | unknown)[];

/**
 * Runs what keeps a service going until it is asked to end, and closes what that has opened, the last first. Resolves with the
 * exit code: 0, or 1 where it cannot go on, after saying why.
 */
export async function untilStopped(
  { output, stop }: Pick<ServiceContext, "output" | "stop">,
  work: (closers: Closers) => Promise<void>,
): Promise<number> {
  const closers: Closers = [];
  try {
    await work(closers);
    return 0;
  } catch (error) {
    if (stop.aborted) return 0;
    for (const line of describeError(error)) output.warn(line);
    return 1;
  } finally {
    for (const close of closers.reverse()) await close();
  }
}
