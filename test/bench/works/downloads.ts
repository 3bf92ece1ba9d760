import { randomBytes } from "node:crypto";
import type { Target, Work } from "../measure/compare.ts";
import { driveGets } from "../measure/load.ts";
import type { Server } from "../subjects/children.ts";
import type { Repository } from "../subjects/repository.ts";

/** Downloads, beside servers that send the same bytes and do nothing else. */

/** Who takes part, and the files that the bare ones serve, by name. */
export interface DownloadParts {
  readonly repositories: readonly Repository[];
  readonly bare: Server;
  readonly nginx: Server | undefined;
  /** Puts a file where the bare servers find it. */
  readonly put: (name: string, bytes: Uint8Array) => Promise<void>;
}

const HOT_BYTES = 100_000;
const LARGE_BYTES = 5_000_000;
/** As many as no cache of bodies in memory holds. */
const COLD_COUNT = 1_500;

/** One body of 100 kB again and again. */
export async function hotDownloads({ repositories, bare, nginx, put }: DownloadParts): Promise<Work> {
  const body = randomBytes(HOT_BYTES);
  await put("hot", body);
  return {
    name: "hit 100 kB, the same again, 16 connections",
    targets: [
      ...nginxTarget(nginx, ["/hot"], 16),
      gets("bare Node, buffer", bare, ["/buffer/hot"], 16),
      gets("bare Node, open+stat+read+close", bare, ["/read/hot"], 16),
      ...(await Promise.all(repositories.map(async (one) => media(one, [await one.requireUpload(body)], 16)))),
    ],
  };
}

/** Many bodies of 100 kB in turn. */
export async function coldDownloads({ repositories, bare, nginx, put }: DownloadParts): Promise<Work> {
  const bodies = Array.from({ length: COLD_COUNT }, () => randomBytes(HOT_BYTES));
  const names = bodies.map((_body, index) => `cold${index}`);
  for (const [index, body] of bodies.entries()) await put(`cold${index}`, body);
  const targets: Target[] = [
    ...nginxTarget(
      nginx,
      names.map((name) => `/${name}`),
      16,
    ),
    gets(
      "bare Node, open+stat+read+close",
      bare,
      names.map((name) => `/read/${name}`),
      16,
    ),
  ];
  for (const one of repositories) {
    const ids: string[] = [];
    for (const body of bodies) ids.push(await one.requireUpload(body));
    targets.push(media(one, ids, 16));
  }
  return { name: `hit 100 kB, ${COLD_COUNT} in turn, 16 connections`, targets };
}

/** One body of 5 MB. */
export async function largeDownloads({ repositories, bare, nginx, put }: DownloadParts): Promise<Work> {
  const body = randomBytes(LARGE_BYTES);
  await put("large", body);
  return {
    name: "hit 5 MB, 8 connections",
    targets: [
      ...nginxTarget(nginx, ["/large"], 8),
      gets("bare Node, createReadStream", bare, ["/stream/large"], 8),
      ...(await Promise.all(repositories.map(async (one) => media(one, [await one.requireUpload(body)], 8)))),
    ],
  };
}

/** A target that is asked for media by their ids, or for thumbnails of them. */
export function media(repository: Repository, ids: readonly string[], connections: number, thumbnails = false): Target {
  const paths = ids.map((id) => (thumbnails ? repository.thumbnail(id) : repository.download(id)));
  const { name, url, pid, headers } = repository;
  return { name, pid, run: (ms) => driveGets({ url, paths, headers }, connections, ms) };
}

function gets(name: string, { url, pid }: Server, paths: readonly string[], connections: number): Target {
  return { name, pid, isBare: true, run: (ms) => driveGets({ url, paths, headers: {} }, connections, ms) };
}

function nginxTarget(nginx: Server | undefined, paths: readonly string[], connections: number): Target[] {
  return nginx ? [gets("nginx", nginx, paths, connections)] : [];
}
