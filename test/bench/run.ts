/**
 * `npm run bench`: drives the origin and the edge on loopback beside bare servers, and prints rates, processor time, memory and
 * their ratios. Asserts nothing: machines differ and are noisy, so the targets take turns and only the ratios of one run
 * mean anything. Let nothing else run.
 *
 *   npm run bench                        all works
 *   npm run bench -- hot upload          those whose name holds one of the words
 *   npm run bench -- --peers mmr=http://127.0.0.1:8001,token=…,host=example.org    also drives what runs there
 *   npm run bench -- profile hot         writes a CPU profile of the origin for each work, for a browser's developer tools
 *   npm run bench -- memory              memory with very large files, and many at once
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../support/free_port.ts";
import { compare, type Work } from "./measure/compare.ts";
import { HAS_WRK } from "./measure/load.ts";
import { profile } from "./measure/profile.ts";
import { startScript } from "./subjects/children.ts";
import { startNginx } from "./subjects/nginx.ts";
import { startBenchOrigin } from "./subjects/origin.ts";
import { startPostgres } from "./subjects/postgres.ts";
import { Repository, readPeers } from "./subjects/repository.ts";
import { coldDownloads, hotDownloads, largeDownloads } from "./works/downloads.ts";
import { withEdgeWorks } from "./works/edge.ts";
import { benchMemory } from "./works/memory.ts";
import { coldThumbnails, makePhotos, peakMemory, warmThumbnails } from "./works/thumbnails.ts";
import { largeUploads, smallUploads } from "./works/uploads.ts";

const BARE = fileURLToPath(new URL("subjects/bare.ts", import.meta.url));
const PROFILE_MS = 5_000;

const print = (line: string) => process.stdout.write(`${line}\n`);
const closers: (() => Promise<unknown>)[] = [];
const args = process.argv.slice(2);
const peersAt = args.indexOf("--peers");
const words = (peersAt < 0 ? args : args.slice(0, peersAt)).filter((word) => word !== "profile");
const isWanted = (name: string) => words.length === 0 || words.some((word) => name.includes(word));

try {
  if (words.includes("memory")) await benchMemory();
  else if (HAS_WRK) await benchAll();
  else
    print(
      "wrk is not installed (Debian: apt-get install wrk): a driver in Node would take more of the machine than it drives",
    );
} finally {
  for (const close of closers.reverse()) await close();
}

async function benchAll(): Promise<void> {
  const postgres = await startPostgres();
  if (postgres) closers.push(() => postgres.close());
  else print("PostgreSQL is not installed: the embedded database is measured");
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-bench-files-"));
  closers.push(() => rm(folder, { recursive: true, force: true }));
  const put = (name: string, bytes: Uint8Array) => writeFile(join(folder, name), bytes);
  const bare = await startScript(BARE, [folder]);
  closers.push(() => bare.close());
  const nginx = await startNginx(folder);
  if (nginx) closers.push(() => nginx.close());
  else print("nginx is not installed: no ratio to it");
  const inspector = args.includes("profile") ? await freePort() : undefined;
  const nodeArgs = inspector === undefined ? [] : [`--inspect=127.0.0.1:${inspector}`];
  const origin = await startBenchOrigin({ postgres: postgres?.url, nodeArgs });
  closers.push(() => origin.close());
  const ours = new Repository("origin", origin.url, origin.pid);
  const peers = peersAt < 0 ? [] : readPeers(args.slice(peersAt + 1));
  const repositories = [ours, ...peers];
  const photo = await makePhotos();
  const parts = { repositories, bare, nginx, put };

  const works: readonly [string, () => Promise<Work>][] = [
    ["hot download", () => hotDownloads(parts)],
    ["cold download", () => coldDownloads(parts)],
    ["large download", () => largeDownloads(parts)],
    ["warm thumbnail", () => warmThumbnails(repositories, photo)],
    ["small upload", async () => smallUploads(repositories, bare)],
    ["large upload", async () => largeUploads(repositories, bare)],
    ["cold thumbnail", () => coldThumbnails(repositories, photo, bare, put)],
  ];
  for (const [name, make] of works) {
    if (!isWanted(name)) continue;
    const work = await make();
    if (inspector === undefined) await compare(work, print);
    else await profileOf(name, work, inspector);
  }
  if (inspector !== undefined) return;
  if (isWanted("peak memory")) await peakMemory(repositories, photo, print);
  if (isWanted("edge")) await withEdgeWorks((work) => compare(work, print), undefined);
}

async function profileOf(name: string, work: Work, inspector: number): Promise<void> {
  const target = work.targets.find((one) => one.name === "origin");
  if (!target) return;
  const file = resolve(`${name.replace(" ", "-")}.cpuprofile`);
  await profile(inspector, file, () => target.run(PROFILE_MS));
  print(`${name}: ${file}`);
}
