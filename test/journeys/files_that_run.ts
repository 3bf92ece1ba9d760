import { Session } from "node:inspector/promises";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";

/** Which of our files a piece of work in this process runs through, by V8's own count of calls. */

const TOP = new URL("../../", import.meta.url).href;

/** Counts until it is closed. One at a time. */
export class CallCounter {
  readonly #session = new Session();

  static async open(): Promise<CallCounter> {
    const counter = new CallCounter();
    counter.#session.connect();
    await counter.#session.post("Profiler.enable");
    await counter.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
    return counter;
  }

  /** The source files of which a function was called while the work was done, from the top of the repository, in order. */
  async filesRunBy(work: () => Promise<unknown>): Promise<string[]> {
    await this.#take();
    await work();
    return [...(await this.#take())].sort();
  }

  async close(): Promise<void> {
    await this.#session.post("Profiler.stopPreciseCoverage");
    this.#session.disconnect();
  }

  async #take(): Promise<Set<string>> {
    const { result } = await this.#session.post("Profiler.takePreciseCoverage");
    const ours = result.filter(
      ({ url }) => /^(edge|origin|shared)\//.test(url.slice(TOP.length)) && url.startsWith(TOP),
    );
    const run = ours.filter(({ functions }) => functions.some(({ ranges }) => (ranges[0]?.count ?? 0) > 0));
    return new Set(run.map(({ url }) => posix.relative(fileURLToPath(TOP), fileURLToPath(url))));
  }
}

/**
 * The files that run each time a piece of work is done: what runs beside it now and then (a job, a connection that is opened) is
 * left out. The first time warms what is remembered, and is not counted.
 */
export async function filesOfJourney(
  counter: CallCounter,
  work: (time: number) => Promise<unknown>,
): Promise<string[]> {
  await work(0);
  const runs: string[][] = [];
  for (let time = 1; time <= 3; time += 1) runs.push(await counter.filesRunBy(() => work(time)));
  const [first = [], ...others] = runs;
  return first.filter((file) => others.every((run) => run.includes(file)));
}
