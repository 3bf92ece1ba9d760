import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../../shared/matrix/failure.ts";
import type { Descriptor, LiveDescriptor } from "../../shared/tiers/descriptor.ts";
import type { ServingPolicy } from "../../shared/tiers/domain_policy.ts";
import type { LiveVerdict } from "../../shared/tiers/verdict.ts";
import type { Found } from "../cache/document_cache.ts";
import { EdgeRequest } from "../request.ts";
import { MediaDecision } from "./media.ts";

const POLICY: ServingPolicy = {
  thumbnails: { sizes: [], dynamicSizing: false, defaultAnimated: false, allowAnimated: true },
  openRangeMaxBytes: 0,
};
const MEDIA: LiveDescriptor = {
  v: 1,
  gen: 1,
  server_name: "a.example",
  media_id: "m",
  sha256: "00",
  size: 1,
  type: "image/png",
  created: 0,
  body: "b/00-1",
};
const VERDICT: LiveVerdict = {
  v: 1,
  gen: 1,
  server_name: "a.example",
  user_id: "@u:a.example",
  is_guest: false,
  exp: 1,
  policy: POLICY,
};
const GONE: Found<Descriptor> = { v: 1, gen: 2, gone: true, at: 0 };
const KEY = "d/a.example/m";
const DOWNLOAD = "/_matrix/client/v1/media/download/a.example/m";
const THUMBNAIL = "/_matrix/client/v1/media/thumbnail/a.example/m?width=32&height=32&method=crop";

/** Decides by what look-ups find, one after another; the last is found again and again. */
function stage(found: Record<string, Found<Descriptor>[]>) {
  const looked: string[] = [];
  let judged = 0;
  const decision = new MediaDecision({
    tokens: {
      async judge() {
        judged += 1;
        return VERDICT;
      },
    },
    domains: { find: () => Promise.reject(new Error("a token says whose the host is")) },
    descriptors: {
      async find(key, _keepAlive, { fresh = false } = {}) {
        looked.push(fresh ? `${key} now` : key);
        const left = found[key] ?? [];
        return (left.length > 1 ? left.shift() : left[0]) ?? "absent";
      },
    },
  });
  const requestOf = (target: string) =>
    new EdgeRequest(
      new Request(`http://edge${target}`, { headers: { authorization: "Bearer t" } }),
      (work) => void work,
      { makeId: () => "id", trustConnectingIp: false },
    );
  return { looked, judged: () => judged, decide: (target: string) => decision.decide(requestOf(target)) };
}

test("the descriptor is looked at again when the requester is known, and the token is judged once", async () => {
  const { decide, judged } = stage({ [KEY]: [MEDIA, GONE] });
  const refused = await decide(DOWNLOAD).catch((thrown: unknown) => thrown);
  assert.equal(isFailure(refused, "absent"), true);
  assert.equal(judged(), 1);
});

test("the descriptor of the media is what is looked at last, also for a thumbnail", async () => {
  const { decide, looked } = stage({ [KEY]: [MEDIA], [`${KEY}/t/32x32-crop`]: [MEDIA] });
  assert.equal((await decide(THUMBNAIL)).kind, "serve");
  assert.deepEqual(looked, [KEY, `${KEY}/t/32x32-crop`, KEY]);
});

test("what is absent or cannot be read is not looked for twice; a bucket that was slow gets another chance", async () => {
  const reasons: [Found<Descriptor>[], string, number][] = [
    [["absent"], "uri-miss", 1],
    [["unknown"], "store-error", 1],
    [["late"], "store-slow", 2],
  ];
  for (const [found, reason, times] of reasons) {
    const { decide, looked } = stage({ [KEY]: found });
    const decision = await decide(DOWNLOAD);
    assert.equal(decision.kind === "forward" && (decision.detail ?? decision.reason), reason);
    assert.equal(looked.length, times);
  }
  const recovered = stage({ [KEY]: ["late", MEDIA] });
  assert.equal((await recovered.decide(DOWNLOAD)).kind, "serve");
});

test("a descriptor without a body is read afresh", async () => {
  const { decide, looked } = stage({ [KEY]: [{ ...MEDIA, body: undefined }, MEDIA] });
  assert.equal((await decide(DOWNLOAD)).kind, "serve");
  assert.deepEqual(looked, [KEY, `${KEY} now`]);
});
