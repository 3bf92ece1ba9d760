import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CommandError } from "../trouble/describe_error.ts";
import type { ManagedProcess } from "./managed_process.ts";
import { Supervisor } from "./supervisor.ts";

/** What becomes of one start: it ends before it answers, or answers and ends after so many milliseconds. */
type Fate = "fails" | number;

/** Supervises processes that fare as they are told, on a clock of its own. The last of them stays. */
function supervise(fates: readonly Fate[]) {
  let nowMs = 0;
  let started = 0;
  const said: string[] = [];
  const pauses: number[] = [];
  const stop = new AbortController();
  const supervised = new Supervisor({
    name: "it",
    start(): ManagedProcess {
      const fate = fates[started++];
      if (fate === undefined) stop.abort();
      if (typeof fate === "number") nowMs += fate;
      // What answers is found to answer first.
      const gone = fate === undefined ? new Promise<string>(() => {}) : settled(fate === "fails" ? 0 : 10);
      return { gone: gone.then(() => "exit code 1"), stop: async () => {} };
    },
    ready: () => (fates[started - 1] === "fails" ? new Promise(() => {}) : settled(1)),
    output: { line: (text) => said.push(text), warn: (text) => said.push(text) },
    now: () => nowMs,
    async pause(ms) {
      pauses.push(ms);
      nowMs += ms;
    },
  });
  const run = async () => {
    await supervised.begin(stop.signal);
    await supervised.keep(stop.signal);
  };
  return { run, said, pauses, started: () => started };
}

/** Resolves some turns of the event loop later. */
async function settled(turns: number): Promise<string> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  return "";
}

describe("what has ended is started again", () => {
  test("at once where it had answered, with the reason in one line", async () => {
    const { run, said, pauses } = supervise([5_000]);
    await run();
    assert.deepEqual(said.slice(0, 2), ["it answers", "it has ended (exit code 1): starting it again"]);
    assert.deepEqual(pauses, []);
  });

  test("with growing pauses where it ends before it answers, until it answers", async () => {
    const { run, said, pauses } = supervise([5_000, "fails", "fails", "fails", 5_000]);
    await run();
    assert.deepEqual(pauses, [500, 1_000, 2_000]);
    assert.equal(said.filter((line) => line === "it answers again").length, 1);
  });

  test("and given up, with a message, where five starts in a row have failed within a minute", async () => {
    const { run, started } = supervise([5_000, "fails", "fails", "fails", "fails", "fails", 5_000]);
    await assert.rejects(run(), (error) => {
      assert.ok(error instanceof CommandError);
      assert.match(error.message, /^it has ended \(exit code 1\), and that 5 times within a minute: giving up; /);
      return true;
    });
    assert.equal(started(), 6);
  });

  test("and given up where it answers and ends again and again, without a pause to breathe", async () => {
    const { run, started } = supervise(Array.from({ length: 80 }, () => 1_000));
    await assert.rejects(run(), /40 times within a minute: giving up/);
    assert.equal(started(), 40);
  });

  test("and not given up where it ends every other second for minutes", async () => {
    const { run, started } = supervise(Array.from({ length: 100 }, () => 2_000));
    await run();
    assert.equal(started(), 101);
  });

  test("but not where its first start fails: that is said at once", async () => {
    const { run, started } = supervise(["fails"]);
    await assert.rejects(run(), /^CommandError: it has ended \(exit code 1\); what it said is above$/);
    assert.equal(started(), 1);
  });
});
