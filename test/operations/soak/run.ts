/**
 * `npm run soak`: rude clients against `npm start`'s two tiers for some minutes, and then the account of what is left over.
 * Ends with exit code 1 and a line for each thing that is wrong. `npm run soak -- --help` lists what it takes.
 */
import { parseArgs } from "node:util";
import { makePhoto } from "../../support/pictures.ts";
import { type Ground, startService } from "./service.ts";
import { soak } from "./soak.ts";

const HELP = `npm run soak -- [--minutes 5] [--seed 1] [--lanes 24] [--kills 0] [--on pglite|postgres|both] [--attack [--attack-seconds 60]]
--kills: so many times a random process of the service is killed (kill -9) meanwhile
--attack: before, one thing after the other goes wrong: the store is cut, few descriptors, decoders killed, Postgres and
Redis away or silent
postgres: a database of its own at MXCDN_TEST_POSTGRES, and an S3 store; without that variable only pglite is run.
`;

const print = (line: string) => process.stdout.write(`${line}\n`);
const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    seed: { type: "string", default: "1" },
    lanes: { type: "string", default: "24" },
    kills: { type: "string", default: "0" },
    on: { type: "string", default: process.env.MXCDN_TEST_POSTGRES ? "both" : "pglite" },
    attack: { type: "boolean", default: false },
    "attack-seconds": { type: "string", default: "60" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit();
}

const grounds: readonly Ground[] =
  values.on === "both" ? ["pglite", "postgres"] : [values.on === "postgres" ? "postgres" : "pglite"];
// Whoever stops it leaves no service behind.
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
const stopped = new Promise<never>((_resolve, reject) => {
  stop.signal.addEventListener("abort", () => reject(new Error("it was stopped before its end")));
});
stopped.catch(() => undefined);
let wrong = 0;
for (const ground of grounds) {
  const closers: (() => unknown)[] = [];
  print(`--- on ${ground}, ${values.minutes} min, seed ${values.seed}, ${values.kills} kills`);
  try {
    const service = await startService({ after: (close) => closers.push(close) }, ground);
    const soaking = soak(service, {
      ...{ seed: Number(values.seed), durationMs: Number(values.minutes) * 60_000, warmUpMs: 10_000 },
      ...{ lanes: Number(values.lanes), crowd: 60, kills: Number(values.kills) },
      attackMs: values.attack ? Number(values["attack-seconds"]) * 1_000 : 0,
      ...{ photo: await makePhoto(640, 480), print },
    });
    soaking.catch(() => undefined);
    const violations = await Promise.race([soaking, stopped]);
    wrong += violations.length;
    for (const line of violations.slice(0, 50)) print(`WRONG: ${line}`);
    print(violations.length === 0 ? "nothing is wrong" : `${violations.length} things are wrong`);
  } catch (error) {
    wrong += 1;
    print(`WRONG: ${(error as Error).message}`);
    if (stop.signal.aborted) break;
  } finally {
    for (const close of closers.reverse()) await close();
  }
}
process.exit(wrong === 0 ? 0 : 1);
