import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { configReference } from "../../../origin/config/reference.ts";

function withoutPadding(line: string): string {
  return line.replace(/ +/g, " ").replace(/-{3,}/g, "---");
}

describe("the configuration reference", () => {
  const text = configReference();

  // Made anew with: node origin/cli.ts config reference > docs/configuration.md && npm run fix
  test("is up to date in the repository, but for the width of its tables", async () => {
    const file = new URL("../../../docs/configuration.md", import.meta.url);
    const [kept, made] = [await readFile(file, "utf8"), text].map((one) => one.split("\n").map(withoutPadding));
    const stale = made?.find((line, index) => line !== kept?.[index]);
    assert.equal(stale, undefined, "this line is missing or stands elsewhere in docs/configuration.md");
    assert.equal(kept?.length, made?.length);
  });

  test("says a type and a meaning of every key", () => {
    const rows = text.split("\n").filter((line) => line.startsWith("| `"));
    assert.ok(rows.length > 120, `${rows.length} keys`);
    for (const row of rows) {
      const cells = row.split(/(?<!\\)\|/).map((cell) => cell.trim());
      assert.equal(cells.length, 8, row);
      assert.notEqual(cells[2], "", `no type: ${row}`);
      assert.notEqual(cells[6], "", `no meaning: ${row}`);
    }
  });

  test("knows which keys a per-domain file may set", () => {
    assert.match(text, /\| `uploads\.maxBytes` \| bytes \| `104857600` \| yes \|/);
    assert.match(text, /\| `downloads\.numWorkers` \| number \| `10` \| no \|/);
    assert.match(text, /\| `repo\.port` \| port \| `8000` \| no \|/);
  });
});
