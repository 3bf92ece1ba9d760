import { randomBytes } from "node:crypto";
import type { Target, Work } from "../measure/compare.ts";
import { driveCalls, send } from "../measure/load.ts";
import type { Server } from "../subjects/children.ts";
import type { Repository } from "../subjects/repository.ts";

/** Uploads of bytes that were never seen before, beside a script that receives, hashes, writes and flushes. */

const SMALL_BYTES = 100_000;
const LARGE_BYTES = 50_000_000;

export function smallUploads(repositories: readonly Repository[], bare: Server): Work {
  return uploads("upload 100 kB unique, 8 at once", SMALL_BYTES, 8, repositories, bare);
}

export function largeUploads(repositories: readonly Repository[], bare: Server): Work {
  return uploads("upload 50 MB unique, one at a time", LARGE_BYTES, 1, repositories, bare);
}

function uploads(name: string, bytes: number, lanes: number, repositories: readonly Repository[], bare: Server): Work {
  const template = randomBytes(bytes);
  /** Another body each time, made without costing the driver a copy of randomness. */
  const another = () => {
    const body = Buffer.from(template);
    randomBytes(16).copy(body);
    return body;
  };
  const post = () => send(`${bare.url}/upload/`, { method: "POST", body: another() });
  const targets: Target[] = [
    {
      name: "bare Node, receive+sha256+write+fsync",
      pid: bare.pid,
      isBare: true,
      run: (ms) => driveCalls(async () => (await post()) !== undefined, { lanes, ms }),
    },
    ...repositories.map((one) => ({
      name: one.name,
      pid: one.pid,
      run: (ms: number) => driveCalls(async () => (await one.upload(another())) !== undefined, { lanes, ms }),
    })),
  ];
  return { name, targets };
}
