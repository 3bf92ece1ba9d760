import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Claim, FairQueue, type FairQueueOptions } from "./fair_queue.ts";

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A queue whose work runs until it is let go, and the names of what has begun. */
function stage(options: Partial<FairQueueOptions> = {}) {
  const queue = new FairQueue({
    atOnce: 8,
    waiting: 100,
    waitMs: 60_000,
    refuse: () => new Error("no turn"),
    ...options,
  });
  const begun: string[] = [];
  const gates = new Map<string, () => void>();
  const claimOf = (who: string, weight = 1): Claim => [{ name: who, weight }];
  return {
    queue,
    begun,
    claimOf,
    start(name: string, claim: Claim) {
      const ticket = queue.ticket(claim);
      const gate = Promise.withResolvers<void>();
      gates.set(name, gate.resolve);
      const done = ticket.run(async () => {
        begun.push(name);
        await gate.promise;
        return name;
      });
      done.catch(() => undefined);
      return { ticket, done };
    },
    async end(name: string) {
      gates.get(name)?.();
      await settle();
    },
    endAll() {
      for (const open of gates.values()) open();
    },
  };
}

describe("places are given so that", () => {
  test("one who is alone gets half of them, the next half of the rest, and so on", async () => {
    const { start, claimOf, begun, endAll } = stage();
    for (const who of ["a", "b", "c", "d"]) {
      for (let at = 0; at < 8; at += 1) start(`${who}${at}`, claimOf(who));
    }
    await settle();
    assert.deepEqual(begun, ["a0", "a1", "a2", "a3", "b0", "b1", "c0", "d0"]);
    endAll();
  });

  test("whoever has more than the others gets no more until it is even", async () => {
    const { start, end, claimOf, begun, endAll } = stage();
    for (const who of ["a", "b", "c"]) {
      for (let at = 0; at < 20; at += 1) start(`${who}${at}`, claimOf(who));
    }
    await settle();
    assert.deepEqual(begun, ["a0", "a1", "a2", "a3", "b0", "b1", "c0"]);
    await end("a0");
    assert.equal(begun.at(-1), "c1");
    await end("a1");
    await end("a2");
    await end("b0");
    const count = (who: string) => begun.filter((name) => name.startsWith(who)).length;
    assert.ok(count("a") - 3 <= 2 && count("b") - 1 <= 2 && count("c") <= 2, begun.join());
    endAll();
  });

  test("a weight says how much of them one may have", async () => {
    const { start, claimOf, begun, endAll } = stage({ atOnce: 32 });
    for (let at = 0; at < 40; at += 1) start(`a${at}`, claimOf("a", 1 / 3));
    await settle();
    assert.equal(begun.length, 8);
    for (let at = 0; at < 40; at += 1) start(`b${at}`, claimOf("b", 3));
    await settle();
    assert.equal(begun.length, 26);
    endAll();
  });

  test("every share of a claim is minded, and the only place is anybody's", async () => {
    const { start, begun, endAll } = stage();
    const both = (who: string): Claim => [
      { name: who, weight: 1 },
      { name: "host", weight: 3 },
    ];
    for (let at = 0; at < 8; at += 1) start(`${at}`, both(`user${at}`));
    await settle();
    assert.equal(begun.length, 6, "two places are left for other hosts");
    endAll();
    const single = stage({ atOnce: 1 });
    single.start("one", single.claimOf("a", 1 / 3));
    single.start("two", single.claimOf("a", 1 / 3));
    await settle();
    assert.deepEqual(single.begun, ["one"]);
    await single.end("one");
    assert.deepEqual(single.begun, ["one", "two"]);
    single.endAll();
  });
});

describe("the line", () => {
  test("lets whoever has least go first, then whoever waits longest", async () => {
    const { start, end, claimOf, begun, endAll } = stage({ atOnce: 2 });
    start("a0", claimOf("a"));
    start("b0", claimOf("b"));
    start("a1", claimOf("a"));
    start("c0", claimOf("c"));
    start("d0", claimOf("d"));
    await end("b0");
    assert.deepEqual(begun, ["a0", "b0", "c0"]);
    await end("c0");
    assert.deepEqual(begun, ["a0", "b0", "c0", "d0"]);
    endAll();
  });

  test("work that several want runs on the account of whoever may first, and is counted there", async () => {
    const { start, end, claimOf, begun, endAll } = stage({ atOnce: 4 });
    for (const name of ["a0", "a1", "a2"]) start(name, claimOf("a"));
    const wanted = start("wanted", claimOf("a"));
    await settle();
    assert.deepEqual(begun, ["a0", "a1"]);
    wanted.ticket.support(claimOf("a"));
    wanted.ticket.support(claimOf("b"));
    await settle();
    assert.deepEqual(begun, ["a0", "a1", "wanted"]);
    start("b1", claimOf("b"));
    await settle();
    assert.equal(begun.length, 3, "b has one place, and one is left");
    await end("wanted");
    assert.equal(begun.at(-1), "b1");
    assert.equal(await wanted.done, "wanted");
    endAll();
  });

  test("refuses what has waited too long, and forgets it", async () => {
    const { start, end, claimOf, begun, endAll } = stage({ atOnce: 1, waitMs: 20 });
    start("a", claimOf("a"));
    await assert.rejects(start("b", claimOf("b")).done, /no turn/);
    await end("a");
    assert.deepEqual(begun, ["a"]);
    start("c", claimOf("c"));
    await settle();
    assert.deepEqual(begun, ["a", "c"]);
    endAll();
  });

  test("when it is full, whoever has most in it gives way to who has less, and to nobody else", async () => {
    const { start, claimOf, endAll } = stage({ atOnce: 1, waiting: 3 });
    start("running", claimOf("z"));
    const [first, second, third] = [0, 1, 2].map((at) => start(`a${at}`, claimOf("a")).done);
    await assert.rejects(start("a3", claimOf("a")).done, /no turn/);
    const other = start("b0", claimOf("b")).done;
    await assert.rejects(third ?? Promise.resolve(), /no turn/);
    await assert.rejects(start("b1", claimOf("b")).done, /no turn/, "it would have as many");
    endAll();
    assert.deepEqual(await Promise.all([first, second, other]), ["a0", "a1", "b0"]);
  });

  test("gives a place back also where work fails", async () => {
    const { queue, claimOf } = stage({ atOnce: 1 });
    for (let round = 0; round < 3; round += 1) {
      await assert.rejects(
        queue.ticket(claimOf("a")).run(async () => {
          throw new Error(`broken ${round}`);
        }),
        new RegExp(`broken ${round}`),
      );
    }
  });
});

describe("where use is counted", () => {
  const HALF_LIFE_MS = 60_000;
  /** One place, or two, where whoever is named has worked for so many seconds before. */
  async function usedStage(atOnce: number, used: Readonly<Record<string, number>>) {
    let now = 1_000_000;
    const staged = stage({ atOnce, use: { clock: () => now, halfLifeMs: HALF_LIFE_MS } });
    for (const [who, seconds] of Object.entries(used)) {
      const { done } = staged.start(`${who} before`, staged.claimOf(who));
      now += seconds * 1000;
      await staged.end(`${who} before`);
      await done;
    }
    staged.begun.length = 0;
    return { ...staged, pass: (ms: number) => (now += ms) };
  }

  test("whoever has used much waits behind who has used little, however long", async () => {
    const { start, end, claimOf, begun, endAll } = await usedStage(1, { heavy: 20, middle: 5, light: 1 });
    start("running", claimOf("z"));
    for (const who of ["heavy", "middle", "light", "fresh"]) start(who, claimOf(who));
    await settle();
    for (const who of ["running", "light", "fresh", "middle"]) await end(who);
    assert.deepEqual(begun, ["running", "light", "fresh", "middle", "heavy"]);
    endAll();
  });

  test("a claim stands where the share of it stands that has used most, but for one that is many people's", async () => {
    const { start, end, begun, endAll } = await usedStage(1, { heavy: 20 });
    const of = (asker: string, uploader: string): Claim => [
      { name: asker, weight: 1 },
      { name: uploader, weight: 1 },
    ];
    start("running", of("z", "z"));
    start("one", of("a", "heavy"));
    start("two", of("b", "c"));
    await settle();
    await end("running");
    assert.deepEqual(begun, ["running", "two"]);
    endAll();

    const many = await usedStage(1, {});
    const claim: Claim = [{ name: "server", weight: 1, isMany: true }];
    const before = many.start("before", claim);
    await settle();
    many.pass(20_000);
    await many.end("before");
    await before.done;
    many.start("running", many.claimOf("z"));
    many.start("server", claim);
    many.start("other", many.claimOf("other"));
    await settle();
    await many.end("running");
    assert.equal(many.begun.at(-1), "server");
    many.endAll();
  });

  test("the last of several places is for who has used little", async () => {
    const { start, claimOf, begun, endAll } = await usedStage(3, { a: 20, b: 20, c: 20 });
    for (const who of ["a", "b", "c"]) start(who, claimOf(who));
    await settle();
    assert.deepEqual(begun, ["a", "b"]);
    start("d", claimOf("d"));
    await settle();
    assert.deepEqual(begun, ["a", "b", "d"]);
    endAll();
  });

  test("whoever has used much gives way when the line is full, under however many names it is wanted", async () => {
    const { queue, start, claimOf, begun, endAll } = await usedStage(1, { heavy: 20 });
    start("running", claimOf("z"));
    const crowd = Array.from({ length: 100 }, (_, at) =>
      start(`slow${at}`, [
        { name: `asker${at}`, weight: 1 },
        { name: "heavy", weight: 1 },
      ]),
    );
    await settle();
    assert.equal(queue.waiting, 100);
    start("fresh", claimOf("fresh"));
    await assert.rejects(crowd.at(-1)?.done ?? Promise.resolve(), /no turn/);
    await assert.rejects(start("heavy", claimOf("heavy")).done, /no turn/, "it is no better than those who wait");
    assert.equal(queue.waiting, 100);
    assert.deepEqual(begun, ["running"]);
    endAll();
  });

  test("it is forgotten by and by", async () => {
    const { start, end, claimOf, begun, pass, endAll } = await usedStage(1, { heavy: 20 });
    pass(10 * HALF_LIFE_MS);
    start("running", claimOf("z"));
    start("heavy", claimOf("heavy"));
    start("fresh", claimOf("fresh"));
    await settle();
    await end("running");
    assert.deepEqual(begun, ["running", "heavy"]);
    endAll();
  });
});

describe("a signal", () => {
  test("takes what still waits out of the line, and leaves alone what runs", async () => {
    const { queue, start, end, claimOf, begun, endAll } = stage({ atOnce: 1 });
    const leaving = new AbortController();
    const running = start("running", claimOf("a"));
    await settle();
    const waiting = queue.ticket(claimOf("b")).run(async () => begun.push("b"), leaving.signal);
    leaving.abort(new Error("gone"));
    await assert.rejects(waiting, /gone/);
    await assert.rejects(
      queue.ticket(claimOf("b")).run(async () => begun.push("b"), leaving.signal),
      /gone/,
    );
    assert.equal(queue.waiting, 0);
    await end("running");
    assert.equal(await running.done, "running");
    assert.deepEqual(begun, ["running"]);
    endAll();
  });
});
