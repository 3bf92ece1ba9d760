import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ConfigError, formatProblem } from "../../origin/config/config_error.ts";
import { parseConfig } from "../../origin/config/load.ts";

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

/** The problems of a configuration whose main file, and whose file for the homeserver, list these. */
function problemsOf(main: readonly string[], ofDomain?: readonly string[]): string[] {
  const list = (stores: readonly string[]) => `datastores:\n${stores.map((one) => `  - ${one}\n`).join("")}`;
  const files = [{ name: "main.yaml", text: HOMESERVERS + list(main) }];
  if (ofDomain) files.push({ name: "org.yaml", text: `homeserver: example.org\n${list(ofDomain)}` });
  try {
    parseConfig(files);
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems.map(formatProblem);
  }
}

describe("two datastores at one place", () => {
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
    test(`are refused: ${what}`, () => {
      assert.deepEqual(problemsOf([store("a", one), store("b", other)]), [
        "main.yaml:4: datastores[1].opts is the place of another datastore too; list a place once, with all of its forKinds",
      ]);
      assert.deepEqual(problemsOf([store("a", one)], [store("b", other)]), [
        'org.yaml:3: datastores[0].opts is the place of the datastore "a"; a place has one id everywhere',
      ]);
      assert.deepEqual(problemsOf([store("a", one)], [store("a", other)]), []);
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
    test(`are not seen where there are two: ${what}`, () => {
      assert.deepEqual(problemsOf([store("a", one), store("b", other)]), []);
      assert.deepEqual(problemsOf([store("a", one)], [store("b", other)]), []);
      assert.match(
        problemsOf([store("a", one)], [store("a", other)]).join("\n"),
        /^org\.yaml:3: .* is the id of a different/,
      );
    });
  }

  test("are seen through links, also where the folder itself is not there yet", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "mxcdn-places-"));
    t.after(() => rm(folder, { recursive: true }));
    await mkdir(join(folder, "real"));
    await symlink(join(folder, "real"), join(folder, "link"));
    const stores = ["real/not/yet", "link/not/yet"].map((path, n) => store(`s${n}`, { path: join(folder, path) }));
    assert.match(problemsOf(stores).join("\n"), /opts is the place of another/);
  });

  test("are seen where the ids are derived from the address; one address is one datastore everywhere", () => {
    const [one, other] = [store("", { path: "./media" }), store("", { path: "media" })];
    assert.match(problemsOf([one, other]).join("\n"), /opts is the place of another/);
    assert.match(problemsOf([one], [other]).join("\n"), /opts is the place of the datastore "[0-9a-f]{40}"/);
    assert.deepEqual(problemsOf([one], [one]), []);
  });
});
