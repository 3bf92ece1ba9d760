import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MatrixError } from "../../../shared/matrix_error.ts";
import type { Limits } from "../limits/limits.ts";
import { openPullBudget } from "./pull_budget.ts";
import { makePullFailures } from "./pull_failures.ts";
import { makePullSlots } from "./pull_slots.ts";

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
  const payer = { who: { kind: "user", userId: "@a:b", exempt: false }, homeserver: "b" } as const;

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
  const CASES: readonly [string, MatrixError, number][] = [
    ["media that is not there: as configured", new MatrixError("M_NOT_FOUND", "no"), 900_000],
    ["media that is too large: as configured", new MatrixError("M_TOO_LARGE", "no", { status: 502 }), 900_000],
    ["a server that is down: a minute", new MatrixError("M_UNKNOWN", "no", { status: 502 }), 60_000],
    [
      "a server that says when: until then",
      new MatrixError("M_UNKNOWN", "no", { status: 502, retryAfterMs: 500 }),
      500,
    ],
    [
      "a server that says too long: as configured",
      new MatrixError("M_UNKNOWN", "no", { status: 502, retryAfterMs: 1e9 }),
      900_000,
    ],
    ["media that is about to be uploaded: not at all", new MatrixError("M_NOT_YET_UPLOADED", "no"), 0],
    ["our own budget: not at all", new MatrixError("M_LIMIT_EXCEEDED", "no"), 0],
    ["our own work: not at all", new MatrixError("M_UNKNOWN", "no", { status: 503 }), 0],
    ["our own mistakes: not at all", new MatrixError("M_UNKNOWN", "no"), 0],
  ];
  for (const [name, error, keepMs] of CASES) {
    test(`is remembered, ${name}`, () => {
      let now = 0;
      const failures = makePullFailures({ clock: () => now, keepMs: 900_000 });
      failures.note(uri, failures.describe("us", error));
      const found = failures.find("us", mxc);
      assert.equal(found?.errcode, keepMs > 0 ? error.errcode : undefined);
      assert.equal(found?.status, keepMs > 0 ? error.status : undefined);
      assert.equal(failures.find("another", mxc), undefined, "another homeserver may be let in");
      now = keepMs;
      assert.equal(failures.find("us", mxc), undefined);
    });
  }
});

describe("places among the workers", () => {
  test("are given in turn, half of them at most to one server", async () => {
    const slots = makePullSlots({ workers: 2, waiting: 10, waitMs: 1_000 });
    const gate = Promise.withResolvers<void>();
    const running: string[] = [];
    const work = (name: string) => async () => {
      running.push(name);
      await gate.promise;
    };
    const all = ["a", "a", "b"].map((server, at) => slots(server, work(`${server}${at}`)));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(running, ["a0", "b2"]);
    gate.resolve();
    await Promise.all(all);
    assert.equal(running.length, 3);
  });

  test("that do not come in time, or are waited for by too many, are 503", async () => {
    const slots = makePullSlots({ workers: 1, waiting: 1, waitMs: 20 });
    const gate = Promise.withResolvers<void>();
    const first = slots("a", () => gate.promise);
    const second = slots("a", async () => undefined);
    await assert.rejects(
      slots("a", async () => undefined),
      { status: 503 },
    );
    await assert.rejects(second, { status: 503 });
    gate.resolve();
    await first;
    assert.equal(await slots("a", async () => "free again"), "free again");
  });

  test("are without end where there is no limit", async () => {
    const slots = makePullSlots({ workers: 0, waiting: 1, waitMs: 1_000 });
    const gate = Promise.withResolvers<void>();
    let running = 0;
    const all = Array.from({ length: 100 }, () =>
      slots("a", async () => {
        running += 1;
        await gate.promise;
      }),
    );
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(running, 100);
    gate.resolve();
    await Promise.all(all);
  });
});
