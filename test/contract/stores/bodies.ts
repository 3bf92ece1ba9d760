import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Datastore, KnownObject, StagedFile } from "../../../origin/stores/objects/datastore.ts";
import type { Lifetime } from "../../support/lifetime.ts";

/** A signal that never aborts. */
export const SIGNAL: AbortSignal = new AbortController().signal;

/** A temporary folder for one test. */
export async function testFolder(t: Lifetime): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mxcdn-datastore-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes bytes to where a datastore takes them from. */
export async function stage(store: Datastore, bytes: Uint8Array): Promise<StagedFile> {
  await mkdir(store.stagingFolder, { recursive: true });
  const path = join(store.stagingFolder, `${randomBytes(8).toString("hex")}.part`);
  await writeFile(path, bytes);
  return { path, size: bytes.byteLength, sha256: createHash("sha256").update(bytes).digest("hex") };
}

let generation = 0;

/** Puts bytes under a location that nothing had before. */
export async function put(store: Datastore, bytes: Uint8Array): Promise<KnownObject> {
  const file = await stage(store, bytes);
  generation += 1;
  const location = store.locationFor(file.sha256, generation);
  await store.put(location, file, SIGNAL);
  await rm(file.path, { force: true });
  return { location, size: file.size };
}

/** All bytes of a stream. */
export async function read(stream: ReadableStream<Uint8Array> | undefined): Promise<Buffer | undefined> {
  return stream && Buffer.from(await new Response(stream).arrayBuffer());
}
