import { randomBytes } from "node:crypto";
import { makePhoto } from "../../support/pictures.ts";
import type { Target, Work } from "../measure/compare.ts";
import { driveCalls, send } from "../measure/load.ts";
import { watchPeak } from "../measure/process_tree.ts";
import type { Server } from "../subjects/children.ts";
import type { Repository } from "../subjects/repository.ts";
import { media } from "./downloads.ts";

/** Thumbnails: found, made, and sixteen made at once. */

const WIDTH = 4_000;
const HEIGHT = 3_000;
const COLD_COUNT = 400;

/** A photograph of 12 million pixels whose bytes differ each time: what follows its end does not matter to a decoder. */
export async function makePhotos(): Promise<() => Buffer> {
  const photo = await makePhoto(WIDTH, HEIGHT, 7);
  return () => Buffer.concat([photo, randomBytes(16)]);
}

export async function warmThumbnails(repositories: readonly Repository[], photo: () => Buffer): Promise<Work> {
  const targets: Target[] = [];
  for (const one of repositories) {
    const id = await one.requireUpload(photo(), "image/jpeg");
    await send(one.url + one.thumbnail(id), { headers: one.headers });
    targets.push(media(one, [id], 16, true));
  }
  return { name: "warm thumbnail 320 × 240, 16 connections", targets };
}

/** Each is asked for once. `put` puts a file where the bare server finds it. */
export async function coldThumbnails(
  repositories: readonly Repository[],
  photo: () => Buffer,
  bare: Server,
  put: (name: string, bytes: Uint8Array) => Promise<void>,
): Promise<Work> {
  await put("photo", photo());
  const targets: Target[] = [
    {
      name: "sharp alone",
      pid: bare.pid,
      isBare: true,
      run: (ms) => driveCalls(async () => (await send(`${bare.url}/thumbnail/photo`)) !== undefined, { lanes: 2, ms }),
    },
  ];
  for (const one of repositories) {
    const ids: string[] = [];
    for (let count = 0; count < COLD_COUNT; count += 1) ids.push(await one.requireUpload(photo(), "image/jpeg"));
    const ask = async () => {
      const id = ids.pop();
      if (id === undefined) throw new Error("too few pictures were uploaded for so fast a machine");
      return (await send(one.url + one.thumbnail(id), { headers: one.headers })) !== undefined;
    };
    targets.push({ name: one.name, pid: one.pid, run: (ms) => driveCalls(ask, { lanes: 2, ms }) });
  }
  return { name: "cold thumbnail of 12 Mpx, 2 at once", targets };
}

/** The highest memory while sixteen pictures are made at once, and what is used at rest before. */
export async function peakMemory(
  repositories: readonly Repository[],
  photo: () => Buffer,
  print: (line: string) => void,
): Promise<void> {
  print("\nmemory (PSS of the process tree)");
  for (const one of repositories) {
    const rest = watchPeak(one.pid).stop();
    const ids = await Promise.all(Array.from({ length: 16 }, () => one.requireUpload(photo(), "image/jpeg")));
    const peak = watchPeak(one.pid);
    await Promise.all(ids.map((id) => send(one.url + one.thumbnail(id), { headers: one.headers })));
    const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
    print(`  ${one.name.padEnd(44)} before ${megabytes(rest)}, 16 cold 12 Mpx at once ${megabytes(peak.stop())}`);
  }
}
