import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { access, readFile } from "node:fs/promises";
import { describe, test } from "node:test";

/** What users read: the README and the pages beneath `docs/`. */

const TOP = new URL("../", import.meta.url);
const PAGES = ["README.md", ...globSync("docs/*.md", { cwd: TOP }).sort()];
const LINK = /\[[^\]]*\]\(([^)\s]+)\)/g;

async function textOf(page: string): Promise<string> {
  return await readFile(new URL(page, TOP), "utf8");
}

/** The anchors of a page, made of its headings as GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  const headings = withoutCode(text).matchAll(/^#+ (.+)$/gm);
  return new Set([...headings].map(([, heading = ""]) => anchorOf(heading)));
}

function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

function withoutCode(text: string): string {
  return text.replace(/^( *)```[\s\S]*?^\1```$/gm, "");
}

/** What is wrong with a link of a page; `undefined` for one that leads somewhere, or out of the repository. */
async function faultOf(page: string, link: string): Promise<string | undefined> {
  if (/^[a-z]+:/.test(link)) return link.startsWith("https://") ? undefined : `${page}: ${link} is not https`;
  const target = new URL(link, new URL(page, TOP));
  const anchor = target.hash.slice(1);
  target.hash = "";
  const found = await access(target).then(
    () => true,
    () => false,
  );
  if (!found) return `${page}: ${link} leads nowhere`;
  if (anchor === "") return undefined;
  return anchorsOf(await readFile(target, "utf8")).has(anchor) ? undefined : `${page}: ${link} has no such heading`;
}

describe("the documentation", () => {
  test("has no link that leads nowhere", async () => {
    const faults: string[] = [];
    for (const page of PAGES) {
      for (const [, link = ""] of withoutCode(await textOf(page)).matchAll(LINK)) {
        const fault = await faultOf(page, link);
        if (fault !== undefined) faults.push(fault);
      }
    }
    assert.deepEqual(faults, []);
  });

  test("finds a link to a missing page and to a missing heading", async () => {
    assert.match((await faultOf("README.md", "docs/nowhere.md")) ?? "", /leads nowhere/);
    assert.match((await faultOf("README.md", "docs/install.md#nothing")) ?? "", /no such heading/);
    assert.equal(await faultOf("README.md", "docs/install.md#the-database"), undefined);
  });

  test("begins with a README of at most 120 lines that leads to every page", async () => {
    const readme = await textOf("README.md");
    assert.ok(readme.trimEnd().split("\n").length <= 120, `${readme.split("\n").length} lines`);
    for (const page of PAGES.slice(1)) assert.ok(readme.includes(`](${page}`), `${page} is not in the README`);
  });
});
