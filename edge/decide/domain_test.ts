import assert from "node:assert/strict";
import { test } from "node:test";
import { Failure } from "../../shared/matrix/failure.ts";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import type { ServedDomain } from "../../shared/tiers/domain_policy.ts";
import { EdgeRequest } from "../request.ts";
import { Domains } from "./domain.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const DOMAIN: ServedDomain = {
  v: 1,
  server_name: "a.example",
  policy: {
    thumbnails: { sizes: [], dynamicSizing: false, defaultAnimated: false, allowAnimated: true },
    openRangeMaxBytes: 0,
  },
};
const OUTAGE = new Failure("peer_failed", "down");
const REFUSAL = new MatrixError("M_UNRECOGNIZED", "No such host", { mrErrcode: "M_UNKNOWN_HOST" });

async function rejects(finding: Promise<unknown>, expected: Error): Promise<void> {
  assert.equal(await finding.catch((thrown: unknown) => thrown), expected);
}

/** A finder by a clock that the test sets, over an origin that gives what the test says. */
function stage() {
  let nowMs = DAY;
  let answer: ServedDomain | Error = DOMAIN;
  const asked: string[] = [];
  const domains = new Domains(() => nowMs, {
    async domain({ host }) {
      asked.push(host);
      if (answer instanceof Error) throw answer;
      return answer;
    },
  });
  return {
    asked,
    find: (host = "a.example") =>
      domains.find(
        new EdgeRequest(new Request("http://edge/", { headers: { host } }), (work) => void work, {
          makeId: () => "id",
          trustConnectingIp: false,
        }),
      ),
    at: (ms: number) => {
      nowMs = DAY + ms;
    },
    say: (next: typeof answer) => {
      answer = next;
    },
  };
}

test("the origin is asked once a minute for each host, whatever its case, and once by many", async () => {
  const { asked, find, at } = stage();
  assert.deepEqual(await Promise.all([find(), find(), find("A.Example")]), [DOMAIN, DOMAIN, DOMAIN]);
  at(MINUTE - 1);
  await find();
  assert.equal(asked.length, 1);
  await find("b.example");
  assert.deepEqual(asked, ["a.example", "b.example"]);
});

test("after a minute it holds what the origin says then", async () => {
  const { find, at, say } = stage();
  await find();
  const changed = { ...DOMAIN, policy: { ...DOMAIN.policy, openRangeMaxBytes: 5 } };
  say(changed);
  at(MINUTE);
  assert.deepEqual(await find(), changed);
});

test("a refusal is everybody's who asks, and never remembered", async () => {
  const { asked, find, say } = stage();
  say(REFUSAL);
  for (let times = 0; times < 2; times += 1) await rejects(find(), REFUSAL);
  assert.equal(asked.length, 2);
  say(DOMAIN);
  assert.equal(await find(), DOMAIN);
});

test("when the origin cannot say, what it said within a day goes on to hold, and not everybody waits for it", async () => {
  const { asked, find, at, say } = stage();
  await find();
  say(OUTAGE);
  at(MINUTE);
  assert.equal(await find(), DOMAIN);
  assert.equal(await find(), DOMAIN);
  assert.equal(asked.length, 2, "one of the two has asked");
  at(MINUTE + 10_000);
  assert.equal(await find(), DOMAIN);
  assert.equal(asked.length, 3, "it is tried again");
  at(DAY - 1);
  assert.equal(await find(), DOMAIN);
  at(DAY + 10_000);
  await rejects(find(), OUTAGE);
});

test("a refusal ends what was good before, also for an outage that follows", async () => {
  const { find, at, say } = stage();
  await find();
  say(REFUSAL);
  at(MINUTE);
  await rejects(find(), REFUSAL);
  say(OUTAGE);
  await rejects(find(), OUTAGE);
});

test("an outage is an outage for whoever comes first", async () => {
  const { find, say } = stage();
  say(OUTAGE);
  await rejects(find(), OUTAGE);
});
