import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { MatrixError } from "../../../shared/matrix_error.ts";
import type { ThumbnailSpec } from "../../../shared/thumbnail_size.ts";
import type { Media } from "../../stores/db/media.ts";
import type { Thumbnail } from "../../stores/db/thumbnails.ts";
import type { Domain } from "../domain.ts";
import { rememberBroken } from "./broken_pictures.ts";
import type { MakeThumbnail } from "./generate.ts";

const MINUTE = 60_000;
const THUMBNAIL = { suffix: "made" } as Thumbnail;
const broken = () => new MatrixError("M_UNKNOWN", "This media cannot be thumbnailed", { status: 400 });
const domainOf = (serverName: string) => ({ serverName }) as Domain;
const media = (sha256: string) => ({ blob: { sha256 } }) as Media;
const spec = (side: number, more: Partial<ThumbnailSpec> = {}): ThumbnailSpec => {
  return { width: side, height: side, method: "crop", animated: false, format: "auto", ...more };
};

let now: number;
let tries: number;
let outcome: () => Promise<Thumbnail>;
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
const make = (sha256: string, wanted = spec(96), server = "one.example") =>
  generate(domainOf(server), media(sha256), wanted);

test("a picture that cannot be drawn is not tried again for some minutes, in whatever small size", async () => {
  for (const error of [broken(), new MatrixError("M_TOO_LARGE", "too many pixels")]) {
    tries = 0;
    outcome = () => Promise.reject(error);
    for (const wanted of [spec(96), spec(32), spec(640, { method: "scale" })]) {
      await assert.rejects(make(error.errcode, wanted), error);
    }
    assert.equal(tries, 1);
    now += 6 * MINUTE;
    await assert.rejects(make(error.errcode), error);
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
  assert.equal(await make("a", spec(96), "two.example"), THUMBNAIL);
});

test("failures that are ours are never remembered", async () => {
  const ours = [
    new MatrixError("M_UNKNOWN", "busy", { status: 503 }),
    new MatrixError("M_NOT_FOUND", "deleted meanwhile"),
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
  const first = Promise.withResolvers<Thumbnail>();
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
  const first = Promise.withResolvers<Thumbnail>();
  outcome = () => first.promise;
  const sizes = [100, 200, 300].map((side) => make("a", spec(side)));
  first.resolve(THUMBNAIL);
  assert.deepEqual(await Promise.all(sizes), [THUMBNAIL, THUMBNAIL, THUMBNAIL]);
  assert.equal(tries, 3);
});
