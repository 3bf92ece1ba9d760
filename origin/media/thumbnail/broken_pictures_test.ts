import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Failure } from "../../../shared/matrix/failure.ts";
import type { ThumbnailSpec } from "../../../shared/matrix/thumbnail_size.ts";
import type { Domain } from "../../domains/domain.ts";
import { busy, PictureError } from "../../imaging/imaging_errors.ts";
import type { Claim } from "../../platform/fair_queue.ts";
import type { Media } from "../../stores/db/tables/media.ts";
import type { Thumbnail } from "../../stores/db/tables/thumbnails.ts";
import { rememberBroken } from "./broken_pictures.ts";
import type { MadeThumbnail, MakeThumbnail } from "./generate.ts";
import type { Turn } from "./shared_making.ts";

const MINUTE = 60_000;
const THUMBNAIL: MadeThumbnail = { kind: "stored", thumbnail: { suffix: "made" } as Thumbnail };
const broken = () => new PictureError("broken");
const tooLarge = () => new PictureError("pixels");
const domainOf = (serverName: string, formats: readonly string[] = ["jpeg"]) =>
  ({ serverName, thumbnails: { formats: new Set(formats) } }) as unknown as Domain;
const media = (sha256: string) => ({ blob: { sha256 } }) as Media;
const spec = (side: number, more: Partial<ThumbnailSpec> = {}): ThumbnailSpec => {
  return { width: side, height: side, method: "crop", animated: false, format: "auto", ...more };
};

let now: number;
let tries: number;
let outcome: () => Promise<MadeThumbnail>;
let generate: MakeThumbnail;
beforeEach(() => {
  now = 1_800_000_000_000;
  tries = 0;
  const counted = () => {
    tries += 1;
    return outcome();
  };
  generate = rememberBroken(counted, { clock: () => now });
});
const turnOf = (name: string, support: (claim: Claim) => void = () => undefined): Turn => ({
  claim: [{ name, weight: 1 }],
  ticket: { support, run: (work) => work() },
});
const make = (sha256: string, wanted = spec(96), domain = domainOf("one.example"), turn = turnOf("somebody")) =>
  generate(domain, media(sha256), wanted, turn);

test("a picture that cannot be drawn is not tried again for some minutes, in whatever small size", async () => {
  for (const error of [broken(), tooLarge(), new PictureError("time")]) {
    tries = 0;
    outcome = () => Promise.reject(error);
    for (const wanted of [spec(96), spec(32), spec(640, { method: "scale" })]) {
      await assert.rejects(make(error.trouble, wanted), error);
    }
    assert.equal(tries, 1);
    now += 6 * MINUTE;
    await assert.rejects(make(error.trouble), error);
    assert.equal(tries, 2);
  }
});

test("another picture, motion, a large size and another domain may do better", async () => {
  outcome = () => Promise.reject(broken());
  await assert.rejects(make("a"));
  outcome = async () => THUMBNAIL;
  assert.equal(await make("b"), THUMBNAIL);
  assert.equal(await make("a", spec(96, { animated: true })), THUMBNAIL);
  assert.equal(await make("a", spec(4_000)), THUMBNAIL);
  assert.equal(await make("a", spec(96), domainOf("two.example")), THUMBNAIL);
});

test("a type that may not be decoded may be once the configuration says so", async () => {
  outcome = () => Promise.reject(new PictureError("type"));
  await assert.rejects(make("a"));
  await assert.rejects(make("a"));
  assert.equal(tries, 1);
  outcome = async () => THUMBNAIL;
  assert.equal(await make("a", spec(96), domainOf("one.example", ["jpeg", "webp"])), THUMBNAIL);
});

test("a picture that the machine was too busy for is tried again within a minute, and not at once", async () => {
  const slow = new PictureError("slow");
  outcome = () => Promise.reject(slow);
  await assert.rejects(make("a"), slow);
  await assert.rejects(make("a"), slow);
  assert.equal(tries, 1);
  outcome = async () => THUMBNAIL;
  now += MINUTE;
  assert.equal(await make("a"), THUMBNAIL);
});

test("what the first tries is on the account of all who wait for it", async () => {
  const first = Promise.withResolvers<MadeThumbnail>();
  outcome = () => first.promise;
  const supported: string[] = [];
  const turn = turnOf("first", ([share]) => supported.push(share.name));
  const made = [make("a", spec(96), undefined, turn), make("a", spec(32), undefined, turnOf("second"))];
  assert.deepEqual(supported, ["second"]);
  first.resolve(THUMBNAIL);
  assert.deepEqual(await Promise.all(made), [THUMBNAIL, THUMBNAIL]);
});

test("failures that are ours are never remembered", async () => {
  const ours = [
    busy(),
    new Failure("no_room", "no room left"),
    new Failure("unreadable", "something else that cannot be used"),
    new Failure("absent", "deleted meanwhile"),
    new Error("the database is gone"),
  ];
  for (const error of ours) {
    outcome = () => Promise.reject(error);
    await assert.rejects(make("a"), error);
  }
  outcome = async () => THUMBNAIL;
  assert.equal(await make("a"), THUMBNAIL);
});

test("of many who want thumbnails of one picture at once the first tries alone; when it has failed, all have", async () => {
  const first = Promise.withResolvers<MadeThumbnail>();
  outcome = () => first.promise;
  const sizes = Array.from({ length: 100 }, (_, n) => make("a", spec(100 + n)));
  const other = make("b");
  const failed = Promise.all(sizes.map((made) => assert.rejects(made, /cannot be thumbnailed/)));
  first.reject(broken());
  await failed;
  await assert.rejects(other);
  assert.equal(tries, 2);
});

test("when the first has succeeded, the others follow", async () => {
  const first = Promise.withResolvers<MadeThumbnail>();
  outcome = () => first.promise;
  const sizes = [100, 200, 300].map((side) => make("a", spec(side)));
  first.resolve(THUMBNAIL);
  assert.deepEqual(await Promise.all(sizes), [THUMBNAIL, THUMBNAIL, THUMBNAIL]);
  assert.equal(tries, 3);
});
