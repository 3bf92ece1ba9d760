import type { Log } from "../platform/log.ts";

/** Something to be done again and again, `everyMs` milliseconds after it was done last. */
export interface Job {
  readonly name: string;
  readonly everyMs: number;
  readonly run: (signal: AbortSignal) => Promise<unknown>;
}

/** Jobs that run by the clock. */
export interface Schedule {
  /** Runs one job now, for tests and the command line. */
  runNow(name: string): Promise<void>;
  /** Stops the clock and waits for what is running. */
  close(): Promise<void>;
}

/**
 * Runs each job in turn with itself: the next run is set when the last has ended, well or badly. Every process runs them;
 * each job is such that two running it at once do no harm.
 */
export function startSchedule(jobs: readonly Job[], log: Log): Schedule {
  const stop = new AbortController();
  const timers = new Map<string, NodeJS.Timeout>();
  const running = new Set<Promise<void>>();

  async function run(job: Job): Promise<void> {
    try {
      await job.run(stop.signal);
    } catch (error) {
      if (!stop.signal.aborted) log.error({ job: job.name, error }, "a job failed; it runs again later");
    }
  }

  function plan(job: Job): void {
    if (stop.signal.aborted) return;
    const timer = setTimeout(() => {
      const done = run(job).finally(() => {
        running.delete(done);
        plan(job);
      });
      running.add(done);
    }, job.everyMs);
    timer.unref();
    timers.set(job.name, timer);
  }

  for (const job of jobs) plan(job);
  return {
    async runNow(name) {
      const job = jobs.find((one) => one.name === name);
      if (!job) throw new Error(`there is no job "${name}"`);
      await job.run(stop.signal);
    },
    async close() {
      stop.abort();
      for (const timer of timers.values()) clearTimeout(timer);
      await Promise.all(running);
    },
  };
}
