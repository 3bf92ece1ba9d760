/**
 * `npm run bench`: starts both tiers on loopback, drives them, and prints how they compare. Asserts nothing: machines differ
 * and are noisy, so the targets take turns and only the ratios of one run mean anything. `npm run bench -- memory` measures
 * memory instead.
 */
import { randomBytes } from "node:crypto";
import { startStack } from "../support/app.ts";
import { ask, upload } from "../support/http.ts";
import { type Drive, drive, median, type Target } from "./drive.ts";
import { benchMemory } from "./memory.ts";
import { startNginx } from "./nginx.ts";

const ROUNDS = 3;
const ROUND_MS = 1_500;
const TOKEN = "token_of_user";
const SIZES: readonly [string, number][] = [
  ["100 kB", 100_000],
  ["5 MB", 5_000_000],
];

if (process.argv.includes("memory")) {
  await benchMemory();
  process.exit();
}

const closers: (() => unknown)[] = [];
const print = (line: string) => process.stdout.write(`${line}\n`);

try {
  const stack = await startStack({ after: (close) => closers.push(close) }, { yaml: "rateLimit: { enabled: false }" });
  const bodies = new Map(SIZES.map(([name, size]) => [name, randomBytes(size)]));
  const nginx = await startNginx(Object.fromEntries([...bodies].map(([name, body]) => [name.replace(" ", ""), body])));
  if (nginx) closers.push(() => nginx.close());
  else print("nginx is not installed: no ratio to it");
  const resident = () => Math.round(process.memoryUsage().rss / 1e6);

  for (const [name, body] of bodies) {
    const id = await upload(stack.tiers.origin, TOKEN, body);
    const path = `/_matrix/client/v1/media/download/${id}`;
    for (let times = 0; times < 2; times += 1) await ask(stack.tiers.edge, path, { token: TOKEN });
    const headers = { authorization: `Bearer ${TOKEN}` };
    const targets: Target[] = [
      ...(nginx ? [{ name: "nginx, the same file", url: `${nginx.url}/${name.replace(" ", "")}`, headers: {} }] : []),
      { name: "origin, from its datastore", url: `${stack.tiers.origin}${path}`, headers },
      { name: "edge, a hit", url: `${stack.tiers.edge}${path}`, headers },
    ];
    print(`\n${name}, ${ROUNDS} rounds of ${ROUND_MS} ms each, taking turns`);
    const results = await inTurns(targets);
    const base = results[0]?.[1];
    for (const [target, runs] of results) {
      const rate = median(runs.map((run) => run.perSecond));
      const ratio = base && base.length > 0 ? rate / median(base.map((run) => run.perSecond)) : 1;
      const failures = runs.reduce((sum, run) => sum + run.failures, 0);
      print(
        `  ${target.padEnd(28)} ${rate.toFixed(0).padStart(7)}/s  p50 ${median(runs.map((run) => run.medianMs))
          .toFixed(1)
          .padStart(6)} ms` +
          `  ${ratio.toFixed(3).padStart(6)} of the first${failures > 0 ? `  ${failures} FAILED` : ""}`,
      );
    }
    print(`  memory of this process (origin and driver together): ${resident()} MB`);
  }
} finally {
  for (const close of closers.reverse()) await close();
}

async function inTurns(targets: readonly Target[]): Promise<[string, Drive[]][]> {
  const results = targets.map((target): [string, Drive[]] => [target.name, []]);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, target] of targets.entries()) results[index]?.[1].push(await drive(target, ROUND_MS));
  }
  return results;
}
