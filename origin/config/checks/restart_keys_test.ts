import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../load.ts";
import { restartKeys } from "./restart_keys.ts";

const read = (more: string) =>
  parseConfig([{ name: "c.yaml", text: `homeservers: [{name: example.org, csApi: "http://synapse"}]\n${more}` }])
    .config;
const changed = (before: string, after: string) => restartKeys(read(before), read(after));

test("a changed key of which the schema says so holds after a restart, wherever it stands", () => {
  assert.deepEqual(changed("", "thumbnails: {numWorkers: 1, maxPixels: 5}"), [
    "thumbnails.maxPixels",
    "thumbnails.numWorkers",
  ]);
  assert.deepEqual(changed("", "downloads: {failureCacheMinutes: 1}"), ["downloads.failureCacheMinutes"]);
  assert.deepEqual(changed("repo: {port: 1}", "repo: {port: 2, useForwardedHost: false}"), ["repo.port"]);
  assert.deepEqual(changed("", "database: {pool: {maxConnections: 3}}"), ["database.pool.maxConnections"]);
  assert.deepEqual(changed("federation: {ignoredHosts: [a]}", "federation: {ignoredHosts: [b]}"), [
    "federation.ignoredHosts",
  ]);
});

test("what holds at once, changes nothing at all or is as it was is not among them", () => {
  assert.deepEqual(changed("uploads: {maxBytes: 1}", "uploads: {maxBytes: 2}\nadmins: ['@a:b']"), []);
  assert.deepEqual(changed("", "sentry: {enabled: true}\nrepo: {logDirectory: x}"), []);
  assert.deepEqual(changed("federation: {ignoredHosts: [a]}", "federation: {ignoredHosts: [a]}"), []);
});
