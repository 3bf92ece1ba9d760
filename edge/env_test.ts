import assert from "node:assert/strict";
import { test } from "node:test";
import { type Env, readConfig } from "./env.ts";

const ENV: Env = {
  ORIGIN_URL: "https://origin.example/",
  HOP_SECRET: "secret",
  S3_ENDPOINT: "https://s3.example/",
  S3_BUCKET: "bucket",
  S3_ACCESS_KEY_ID: "id",
  S3_SECRET_ACCESS_KEY: "key",
};
const SECOND_MS = 1_000;

test("the origin is given longer than it takes to fail: its turn, the upload elsewhere, the fetch, by their defaults", () => {
  const turn = 30 * SECOND_MS;
  const uploadElsewhere = 60 * SECOND_MS;
  const fetching = 120 * SECOND_MS;
  const { originTimeoutMs } = readConfig(ENV);
  assert.equal(originTimeoutMs > turn + uploadElsewhere + fetching, true);
});

test("how long the origin is waited for may be said", () => {
  assert.equal(readConfig({ ...ENV, ORIGIN_TIMEOUT_MS: "400" }).originTimeoutMs, 400);
});
