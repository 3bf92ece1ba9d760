import { Agent, get } from "node:http";

/** Something to be asked again and again. `headers` go with each request. */
export interface Target {
  readonly name: string;
  readonly url: string;
  readonly headers: Record<string, string>;
}

/** What came of driving one target. */
export interface Drive {
  readonly perSecond: number;
  readonly medianMs: number;
  readonly failures: number;
}

const CONCURRENCY = 16;

/** Asks one target for `milliseconds`, always {@link CONCURRENCY} requests at once over kept connections. */
export async function drive(target: Target, milliseconds: number): Promise<Drive> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });
  const end = Date.now() + milliseconds;
  const took: number[] = [];
  let failures = 0;
  const start = Date.now();
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      while (Date.now() < end) {
        const begun = performance.now();
        if (!(await askOnce(target, agent))) failures += 1;
        took.push(performance.now() - begun);
      }
    }),
  );
  agent.destroy();
  const seconds = (Date.now() - start) / 1000;
  return { perSecond: took.length / seconds, medianMs: median(took), failures };
}

/** The middle of some numbers; 0 of none. */
export function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

function askOnce(target: Target, agent: Agent): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(target.url, { agent, headers: target.headers }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode === 200 || response.statusCode === 206));
      response.on("error", () => resolve(false));
    });
    request.on("error", () => resolve(false));
  });
}
