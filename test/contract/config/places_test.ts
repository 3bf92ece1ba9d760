import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ConfigError, formatProblem } from "../../../origin/config/checks/config_error.ts";
import { parseConfig } from "../../../origin/config/load.ts";

const HOMESERVERS = "homeservers: [{name: example.org, csApi: 'http://synapse'}]\n";

interface Place {
  readonly path?: string;
  readonly endpoint?: string;
  readonly bucketName?: string;
  readonly ssl?: boolean;
  readonly region?: string;
}

function store(id: string, place: Place): string {
  const type = place.path === undefined ? "s3" : "file";
  return JSON.stringify({ ...(id === "" ? {} : { id }), type, forKinds: ["all"], opts: place });
}

/** What is wrong with a configuration whose main file, and whose file for the homeserver, list these; or else its warnings. */
function remarksOn(main: readonly string[], ofDomain?: readonly string[]): string[] {
  const list = (stores: readonly string[]) => `datastores:\n${stores.map((one) => `  - ${one}\n`).join("")}`;
  const files = [{ name: "main.yaml", text: HOMESERVERS + list(main) }];
  if (ofDomain) files.push({ name: "org.yaml", text: `homeserver: example.org\n${list(ofDomain)}` });
  try {
    return parseConfig(files).warnings.map(formatProblem);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems.map(formatProblem);
  }
}

describe("the place of a datastore", () => {
  const same: Record<string, readonly [Place, Place]> = {
    "a folder": [{ path: "/media" }, { path: "/media" }],
    "a folder, said differently": [{ path: "./media" }, { path: "somewhere/..//media/" }],
    "a folder with and without its whole path": [{ path: "media" }, { path: join(process.cwd(), "media") }],
    "a bucket": [
      { endpoint: "s3.example", bucketName: "media" },
      { endpoint: "https://S3.example/", bucketName: "media", region: "eu" },
    ],
    "a bucket with and without encryption": [
      { endpoint: "s3.example", bucketName: "media" },
      { endpoint: "s3.example:80", bucketName: "media", ssl: false },
    ],
    "a bucket of Amazon's, in whatever region": [
      { endpoint: "s3.amazonaws.com", bucketName: "media" },
      { endpoint: "s3.eu-west-1.amazonaws.com", bucketName: "media" },
    ],
  };
  for (const [what, [one, other]] of Object.entries(same)) {
    test(`is the same: ${what}`, () => {
      assert.deepEqual(remarksOn([store("a", one)], [store("a", other)]), []);
    });
  }

  const different: Record<string, readonly [Place, Place]> = {
    "folders, one in the other": [{ path: "/media" }, { path: "/media/more" }],
    "buckets of one store": [
      { endpoint: "s3.example", bucketName: "media" },
      { endpoint: "s3.example", bucketName: "more" },
    ],
    "buckets of stores on two ports": [
      { endpoint: "s3.example:9000", bucketName: "media" },
      { endpoint: "s3.example:9001", bucketName: "media" },
    ],
    "buckets of stores on two paths": [
      { endpoint: "http://s3.example/one", bucketName: "media" },
      { endpoint: "http://s3.example/two/", bucketName: "media" },
    ],
  };
  for (const [what, [one, other]] of Object.entries(different)) {
    test(`is another: ${what}`, () => {
      assert.deepEqual(remarksOn([store("a", one), store("b", other)]), []);
      assert.deepEqual(remarksOn([store("a", one)], [store("b", other)]), []);
      assert.match(
        remarksOn([store("a", one)], [store("a", other)]).join("\n"),
        /^org\.yaml:3: .* is the id of a different/,
      );
    });
  }

  test("is seen through links, also where the folder itself is not there yet", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "mxcdn-places-"));
    t.after(() => rm(folder, { recursive: true }));
    await mkdir(join(folder, "real"));
    await symlink(join(folder, "real"), join(folder, "link"));
    const at = (path: string) => [store("a", { path: join(folder, path) })];
    assert.deepEqual(remarksOn(at("real/not/yet"), at("link/not/yet")), []);
    assert.notDeepEqual(remarksOn(at("real/not/yet"), at("link/not/there")), []);
  });

  test("makes one datastore of those whose ids are derived from one address", () => {
    const one = store("", { path: "./media" });
    assert.doesNotMatch(remarksOn([one], [one]).join("\n"), /is the id of a different/);
  });
});
