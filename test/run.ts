import { globSync } from "node:fs";
import { availableParallelism } from "node:os";
import { relative } from "node:path";
import { Readable } from "node:stream";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";

/**
 * The runner behind `npm test`. Unit tests (beside the code) run in one process; tests of the house from outside (`test/`)
 * in a process for each file, a few at once; where there is a Postgres, those of whole tiers a second time on it. All end in
 * one report with one summary.
 *
 * `npm test -- <text> …` runs the files whose path holds one of the texts.
 */

const TOP = fileURLToPath(new URL("../", import.meta.url));
const FILE_TIMEOUT_MS = 300_000;
const AT_ONCE = Math.min(2, availableParallelism());
/** What tests on real services want; `MXCDN_TEST_SERVICES=required` makes their absence a failure. */
const SERVICES = ["MXCDN_TEST_POSTGRES", "MXCDN_TEST_REDIS"];
/** The lines of a summary, which can be added up. */
const COUNTS = ["tests", "suites", "pass", "fail", "cancelled", "skipped", "todo", "duration_ms"];

/** How many files are named as the slowest. */
const SLOWEST = 12;

interface TestEvent {
  type: string;
  data: { nesting?: number; message?: string; todo?: unknown; file?: string; duration_ms?: number };
}

const wanted = process.argv.slice(2);
const unit = filesOf("{shared,edge,origin}/**/*_test.ts");
const outside = filesOf("test/**/*_test.ts");
/** What stands on the embedded database by itself, and is to hold on Postgres too where there is one. */
const again = process.env.MXCDN_TEST_POSTGRES
  ? filesOf("test/{spec,operations/domains,operations/trouble}/**/*_test.ts")
  : [];

if (unit.length + outside.length === 0) stop(`no test file has ${wanted.join(" or ")} in its path`);
for (const variable of SERVICES) {
  if (process.env.MXCDN_TEST_SERVICES === "required" && !process.env[variable]) {
    stop(`MXCDN_TEST_SERVICES=required, but ${variable} is not set`);
  }
}
Readable.from(everything()).compose(new spec()).pipe(process.stdout).once("unpipe", end);

function filesOf(pattern: string): string[] {
  const files = globSync(pattern, { cwd: TOP, exclude: (name) => name === "node_modules" }).sort();
  return files.filter((file) => wanted.length === 0 || wanted.some((text) => file.includes(text)));
}

/** All runs as one: what is under the last line of each is added up. */
async function* everything(): AsyncGenerator<TestEvent> {
  const sums = new Map(COUNTS.map((name) => [name, 0]));
  const times: { file: string; seconds: number }[] = [];
  const common = { cwd: TOP, timeout: FILE_TIMEOUT_MS } as const;
  if (unit.length > 0) yield* counted(run({ ...common, files: unit, isolation: "none" }), sums, times);
  if (outside.length > 0) {
    yield* counted(run({ ...common, files: outside, isolation: "process", concurrency: AT_ONCE }), sums, times);
  }
  if (again.length > 0) {
    const env = { ...process.env, MXCDN_TEST_STACK: "postgres" };
    yield* counted(run({ ...common, files: again, isolation: "process", concurrency: AT_ONCE, env }), sums, times);
  }
  const slowest = times.sort((one, other) => other.seconds - one.seconds).slice(0, SLOWEST);
  if (times.length > SLOWEST) {
    yield note(`slowest files: ${slowest.map(({ file, seconds }) => `${file} ${seconds.toFixed()} s`).join(", ")}`);
  }
  for (const [name, sum] of sums) yield note(`${name} ${sum}`);
}

function note(message: string): TestEvent {
  return { type: "test:diagnostic", data: { nesting: 0, message } };
}

async function* counted(
  events: AsyncIterable<TestEvent>,
  sums: Map<string, number>,
  times: { file: string; seconds: number }[],
): AsyncGenerator<TestEvent> {
  for await (const event of events) {
    const { file, duration_ms } = event.data;
    if (event.type === "test:summary" && file !== undefined && duration_ms !== undefined) {
      times.push({ file: relative(TOP, file), seconds: duration_ms / 1_000 });
    }
    if (event.type === "test:fail" && !event.data.todo) process.exitCode = 1;
    if (event.type !== "test:summary" && !addsUp(event, sums)) yield event;
  }
}

function addsUp({ type, data }: TestEvent, sums: Map<string, number>): boolean {
  const [name = "", value, ...rest] = data.message?.split(" ") ?? [];
  const before = type === "test:diagnostic" && data.nesting === 0 && rest.length === 0 ? sums.get(name) : undefined;
  if (before === undefined) return false;
  sums.set(name, before + Number(value));
  return true;
}

function stop(why: string): never {
  process.stderr.write(`npm test: ${why}\n`);
  process.exit(1);
}

/** Whatever a test has left open must not keep the runner. */
function end(): void {
  process.exit();
}
