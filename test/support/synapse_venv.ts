import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** Where Synapse is, or why tests cannot have it; `skip` goes into their options. */
export interface SynapseInstallation {
  /** A Python that has Synapse. Empty where it is missing. */
  readonly python: string;
  readonly skip: string | false;
}

const REQUIREMENTS = new URL("./synapse_requirements.txt", import.meta.url);
const VENV_MS = 60_000;
const INSTALL_MS = 200_000;

const run = promisify(execFile);

/**
 * Finds Synapse in a virtual environment of its own, kept under `$XDG_CACHE_HOME` (or `~/.cache`) by what is installed in it.
 *
 * It is installed only if `MXCDN_TEST_SYNAPSE` is `yes` (where that fails, tests are skipped) or `required` (where that
 * fails, so do they): that wants Python 3.10 or newer with its `venv`, and PyPI. Otherwise it is used if it is there already.
 */
export async function findSynapse(): Promise<SynapseInstallation> {
  const wish = process.env.MXCDN_TEST_SYNAPSE ?? "";
  const folder = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "mxcdn-tests", await nameOfVenv());
  const found = { python: join(folder, "bin", "python"), skip: false } as const;
  if (existsSync(found.python)) return found;
  if (wish !== "yes" && wish !== "required") {
    return { python: "", skip: "Synapse is not installed (MXCDN_TEST_SYNAPSE=yes installs it)" };
  }
  try {
    await install(folder);
    return found;
  } catch (error) {
    if (wish === "required")
      throw new Error("MXCDN_TEST_SYNAPSE=required, but Synapse cannot be installed", { cause: error });
    return { python: "", skip: `Synapse cannot be installed: ${String(error).slice(0, 300)}` };
  }
}

async function nameOfVenv(): Promise<string> {
  const requirements = await readFile(REQUIREMENTS, "utf8");
  const version = /^matrix-synapse==(.+)$/m.exec(requirements)?.[1];
  const digest = createHash("sha256").update(requirements).digest("hex").slice(0, 12);
  return `synapse-${version}-${digest}`;
}

/** Made beside its place and then renamed: when several do so at once, one of theirs stays, and none is used half made. */
async function install(folder: string): Promise<void> {
  const making = `${folder}.making-${process.pid}`;
  try {
    await mkdir(making, { recursive: true });
    await run("python3", ["-m", "venv", making], { timeout: VENV_MS });
    const list = join(making, "requirements.txt");
    await writeFile(list, await readFile(REQUIREMENTS));
    const pip = ["-m", "pip", "install", "--quiet", "--no-input", "--only-binary=:all:", "--requirement", list];
    await run(join(making, "bin", "python"), pip, { timeout: INSTALL_MS });
    await rename(making, folder).catch((error) => {
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(making, { recursive: true, force: true });
  }
}
