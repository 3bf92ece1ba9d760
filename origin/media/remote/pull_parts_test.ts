import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Failure, type FailureKind } from "../../../shared/matrix/failure.ts";
import { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import type { Counted } from "../../access/limits/counted.ts";
import type { Limits } from "../../access/limits/limits.ts";
import type { Domain } from "../../domains/domain.ts";
import { openPullBudget } from "./pull_budget.ts";
import { makePullFailures } from "./pull_failures.ts";
import { concerns, type PullOrder } from "./pull_order.ts";
import { makePullSlots, type PullSlotOptions } from "./pull_slots.ts";

const MIB = 1_048_576;

describe("the budget of a fetch", () => {
  /** Limits that allow so many bytes, and write down what was charged in the end. */
  function limitsOf(allowed: number) {
    const book = { charged: 0, peak: 0 };
    const limits: Pick<Limits, "chargeFetch"> = {
      async chargeFetch(_who, _homeserver, bytes) {
        if (book.charged + bytes > allowed) throw new MatrixError("M_LIMIT_EXCEEDED", "too much");
        book.charged += bytes;
        book.peak = Math.max(book.peak, book.charged);
        return {
          async settle(actual) {
            book.charged += actual - bytes;
          },
        };
      },
    };
    return { book, limits };
  }
  const payer = { who: { kind: "user", name: `user @a:b`, exempt: false }, homeserver: "b" } as const;

  test("is charged at once where the length is known, and settled by what came", async () => {
    const { book, limits } = limitsOf(100 * MIB);
    const budget = await openPullBudget(limits, payer, 50 * MIB);
    assert.equal(book.charged, 50 * MIB);
    await budget.spend(10);
    await budget.settle();
    assert.equal(book.charged, 10);
    await assert.rejects(openPullBudget(limits, payer, 200 * MIB), { errcode: "M_LIMIT_EXCEEDED" });
  });

  test("grows with what comes where it is not, never far ahead of it", async () => {
    const { book, limits } = limitsOf(21 * MIB);
    const budget = await openPullBudget(limits, payer, undefined);
    for (let mib = 1; mib <= 20; mib += 1) {
      await budget.spend(MIB);
      assert.ok(book.charged >= mib * MIB && book.charged <= (mib + 4) * MIB);
    }
    await assert.rejects(budget.spend(MIB), { errcode: "M_LIMIT_EXCEEDED" });
    await budget.settle();
    assert.equal(book.charged, 20 * MIB);
  });
});

describe("what failed", () => {
  const mxc = { serverName: "a.example", mediaId: "x" };
  const uri = "mxc://a.example/x";
  const CASES: readonly [string, Error, FailureKind, number][] = [
    ["media that is not there: as configured", new Failure("absent", "no"), "absent", 900_000],
    ["media that is too large: as configured", new Failure("peer_too_large", "no"), "peer_too_large", 900_000],
    ["a server that is down: a minute", new Failure("peer_failed", "no"), "peer_failed", 60_000],
    ["a server that is slow: a minute", new Failure("peer_slow", "no"), "peer_slow", 60_000],
    [
      "a server that says when: until then",
      new Failure("peer_failed", "no", { retryAfterMs: 500 }),
      "peer_failed",
      500,
    ],
    [
      "a server that says too long: as configured",
      new Failure("peer_failed", "no", { retryAfterMs: 1e9 }),
      "peer_failed",
      900_000,
    ],
    ["media that is about to be uploaded: not at all", new Failure("not_yet", "no"), "not_yet", 0],
    ["our own budget: not at all", new MatrixError("M_LIMIT_EXCEEDED", "no"), "limited", 0],
    ["our own work: not at all", new Failure("busy", "no"), "busy", 0],
    ["our own stores: not at all", new Failure("no_room", "no"), "no_room", 0],
    ["our own mistakes: not at all", new Error("no"), "ours", 0],
  ];
  for (const [name, error, kind, keepMs] of CASES) {
    test(`is remembered, ${name}`, () => {
      let now = 0;
      const failures = makePullFailures({ clock: () => now, keepMs: 900_000 });
      failures.note(uri, failures.describe("us", error));
      const found = failures.find("us", mxc);
      assert.equal(found?.kind, keepMs > 0 ? kind : undefined);
      assert.equal(failures.find("another", mxc), undefined, "another homeserver may be let in");
      now = keepMs;
      assert.equal(failures.find("us", mxc), undefined);
    });
  }
});

describe("places among the workers", () => {
  const user = (name: string): Counted => ({ kind: "user", name: `user @${name}:us.example`, exempt: false });
  const settle = () => new Promise((resolve) => setImmediate(resolve));

  /** Fetches that go on until they are let go. */
  function stage(options: Partial<PullSlotOptions> = {}) {
    const slots = makePullSlots({ workers: 10, waiting: 100, waitMs: 60_000, ...options });
    const gate = Promise.withResolvers<void>();
    const running: string[] = [];
    const fetch = (name: string, serverName: string, who: string) => {
      const slot = slots(serverName, user(who));
      const done = slot.run(async () => {
        running.push(name);
        await gate.promise;
        return name;
      });
      return { slot, done };
    };
    return { slots, gate, running, fetch };
  }

  test("half of them are for one user at most, whatever the ports and names of those he asks", async () => {
    const { fetch, running, gate } = stage();
    const hosts = ["silent.example:1", "silent.example:2", "other.example", "[::1]:3", "127.0.0.1"];
    const greedy = Array.from({ length: 20 }, (_, at) => fetch(`greedy${at}`, hosts[at % 5] ?? "", "greedy").done);
    await settle();
    assert.equal(running.length, 5);
    const modest = fetch("modest", "silent.example", "modest").done;
    await settle();
    assert.equal(running.at(-1), "modest", "also where he asks the same host");
    gate.resolve();
    await Promise.all([...greedy, modest]);
    assert.equal(running.length, 21);
  });

  test("one host gets three quarters of them at most, whoever asks and by whatever port", async () => {
    const { fetch, running, gate } = stage();
    const all = Array.from({ length: 20 }, (_, at) => fetch(`${at}`, `Slow.example:${at + 1}`, `user${at}`).done);
    await settle();
    assert.equal(running.length, 8);
    all.push(fetch("else", "quick.example", "another").done);
    await settle();
    assert.equal(running.at(-1), "else");
    gate.resolve();
    await Promise.all(all);
  });

  test("what others want too does not wait for the turn of who wanted it first", async () => {
    const { fetch, running, gate } = stage({ workers: 2 });
    const all = ["one", "two"].map((name) => fetch(name, "a.example", "greedy"));
    await settle();
    assert.deepEqual(running, ["one"]);
    all[1]?.slot.support(user("modest"));
    await settle();
    assert.deepEqual(running, ["one", "two"]);
    gate.resolve();
    await Promise.all(all.map(({ done }) => done));
  });

  test("that do not come in time, or are waited for by too many, are busy", async () => {
    const { fetch, gate } = stage({ workers: 1, waiting: 1, waitMs: 20 });
    const first = fetch("first", "a", "a").done;
    const second = assert.rejects(fetch("second", "a", "a").done, { kind: "busy" });
    await assert.rejects(fetch("third", "a", "a").done, { kind: "busy" });
    await second;
    gate.resolve();
    await first;
    assert.equal(await fetch("free again", "a", "a").done, "free again");
  });

  test("are 500 where none is said, so that fetches leave the way out to others, too", async () => {
    const { fetch, running, gate } = stage({ workers: 0, waiting: 1_000 });
    const all = Array.from({ length: 600 }, (_, at) => fetch(`${at}`, `host${at}`, `user${at}`).done);
    await settle();
    assert.equal(running.length, 500);
    gate.resolve();
    await Promise.all(all);
  });
});

describe("the failure of a fetch", () => {
  test("is that of all who wait for it, but where it is of who began it", () => {
    const domain = { serverName: "us.example" } as Domain;
    const order: PullOrder = {
      asking: domain,
      who: { kind: "user", name: `user @a:us.example`, exempt: false },
      waitMs: 0,
      evenIfIgnored: false,
    };
    const is = (kind: FailureKind, asking = "us.example") => concerns({ asking, kind }, order);
    for (const kind of ["absent", "peer_failed", "peer_slow", "ours"] as const) assert.equal(is(kind), true, kind);
    for (const kind of ["limited", "busy", "unavailable"] as const) assert.equal(is(kind), false, kind);
    assert.equal(is("absent", "another.example"), false);
  });
});
