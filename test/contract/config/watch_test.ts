import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { watchConfig } from "../../../origin/config/files/watch.ts";
import { fingerprint } from "../../../origin/config/fingerprint.ts";
import { loadConfig } from "../../../origin/config/load.ts";
import type { Config } from "../../../origin/config/schema.ts";
import { replaceFile } from "../../support/files.ts";

const text = (port: number) => `homeservers: [{name: example.org, csApi: "http://synapse"}]\nrepo: {port: ${port}}\n`;

describe("watching a configuration", { timeout: 60_000 }, () => {
  let folder = "";
  let closers: (() => void)[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "mxcdn-watch-"));
  });
  afterEach(async () => {
    for (const close of closers) close();
    closers = [];
    await rm(folder, { recursive: true });
  });

  async function watching(path: string, since?: string, takeOver: () => void = () => undefined) {
    const events = new EventEmitter();
    const seen: string[] = [];
    const watch = await watchConfig(path, {
      known: since ?? (await fingerprint(path)),
      load: () => loadConfig(path),
      onChange: ({ config }) => {
        takeOver();
        seen.push(`port ${config.repo.port}`);
        events.emit("changed", config);
      },
      onBroken: (error) => {
        seen.push("broken");
        events.emit("broken", error);
      },
      onFailed: (error) => {
        seen.push(`failed: ${error.message}`);
        events.emit("failed", error);
      },
      settleMs: 20,
      pollMs: 50,
    });
    closers.push(() => watch.close());
    const changed = async () => ((await once(events, "changed")) as [Config])[0];
    return { events, seen, changed };
  }

  test("tells of a file that was written anew", async () => {
    const file = join(folder, "c.yaml");
    await writeFile(file, text(1));
    const { changed } = await watching(file);
    await Promise.all([changed().then((config) => assert.equal(config.repo.port, 2)), writeFile(file, text(2))]);
  });

  test("tells of a file that another one was renamed to, again and again", async () => {
    const file = join(folder, "c.yaml");
    await writeFile(file, text(1));
    const { changed } = await watching(file);
    for (const port of [2, 3]) {
      await writeFile(`${file}.new`, text(port));
      await Promise.all([
        changed().then((config) => assert.equal(config.repo.port, port)),
        rename(`${file}.new`, file),
      ]);
    }
  });

  test("tells of a symbolic link that leads elsewhere now, as Kubernetes does it", async () => {
    for (const version of [1, 2]) {
      await mkdir(join(folder, `..v${version}`));
      await writeFile(join(folder, `..v${version}`, "c.yaml"), text(version));
    }
    await symlink("..v1", join(folder, "..data"));
    await symlink("..data/c.yaml", join(folder, "c.yaml"));
    const { changed } = await watching(join(folder, "c.yaml"));
    await symlink("..v2", join(folder, "..data_new"));
    await Promise.all([
      changed().then((config) => assert.equal(config.repo.port, 2)),
      rename(join(folder, "..data_new"), join(folder, "..data")),
    ]);
  });

  test("tells of a change from before the watching began", async () => {
    const file = join(folder, "c.yaml");
    await writeFile(file, text(1));
    const before = await fingerprint(file);
    await writeFile(file, text(2));
    const { changed } = await watching(file, before);
    assert.equal((await changed()).repo.port, 2);
  });

  test("tells of a new file in a folder", async () => {
    await writeFile(join(folder, "a.yaml"), text(1));
    const { changed } = await watching(folder);
    await Promise.all([
      changed().then((config) => assert.equal(config.repo.port, 7)),
      writeFile(join(folder, "b.yaml"), "repo: {port: 7}\n"),
    ]);
  });

  test("says once that a change is broken, and takes the next good one", async () => {
    const file = join(folder, "c.yaml");
    await writeFile(file, text(1));
    const { events, changed, seen } = await watching(file);
    const broken = once(events, "broken");
    await replaceFile(file, "repo: {port: many}\n");
    const [error] = (await broken) as [Error];
    assert.match(error.message, /repo\.port must be/);
    const good = changed();
    await replaceFile(file, text(3));
    await good;
    assert.deepEqual(seen, ["broken", "port 3"]);
  });

  test("tries a change again that could not be taken over, and says so once", async () => {
    const file = join(folder, "c.yaml");
    await writeFile(file, text(1));
    let tries = 0;
    const { changed, seen } = await watching(file, undefined, () => {
      tries += 1;
      if (tries < 4) throw new Error("away");
    });
    const good = changed();
    await replaceFile(file, text(2));
    await good;
    assert.deepEqual(seen, ["failed: away", "port 2"]);
  });

  test("after one that could not be taken over, what held before is a change too", async () => {
    const file = join(folder, "c.yaml");
    await writeFile(file, text(1));
    let away = true;
    const { events, changed } = await watching(file, undefined, () => {
      if (away) throw new Error("away");
    });
    const failed = once(events, "failed");
    await replaceFile(file, text(2));
    await failed;
    const good = changed();
    await replaceFile(file, text(1));
    away = false;
    assert.equal((await good).repo.port, 1);
  });

  test("tells of a signing key that was written anew, or is there at last", async () => {
    const [file, key] = [join(folder, "c.yaml"), join(folder, "keys")];
    const named = text(1).replace("}]", `, signingKeyPath: "${key}"}]`);
    await writeFile(file, named);
    const { changed } = await watching(file);
    for (const content of ["one", "two"]) await Promise.all([changed(), writeFile(key, content)]);
  });

  test("is silent when a file is written with what it held before", async () => {
    const file = join(folder, "c.yaml");
    await writeFile(file, text(1));
    const { changed, seen } = await watching(file);
    await replaceFile(file, text(1));
    await new Promise((resolve) => setTimeout(resolve, 150));
    const good = changed();
    await replaceFile(file, text(2));
    await good;
    assert.deepEqual(seen, ["port 2"]);
  });
});
