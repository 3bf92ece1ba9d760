/**
 * Bare servers: what Node can do at the most when it does nothing but the work. Run as a process of its own; the folder with
 * the files is its argument.
 *
 * GET  /buffer/<file>   sends the file from memory
 * GET  /read/<file>     opens, asks the size, reads whole, closes, sends
 * GET  /stream/<file>   createReadStream
 * GET  /thumbnail/<file> draws 320 × 240 with sharp alone
 * POST /upload          receives, hashes, writes, flushes, renames; 200 with the hash
 */
import { createHash, randomUUID } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import sharp from "sharp";

sharp.cache(false);
sharp.concurrency(1);

const folder = process.argv[2] ?? ".";
const held = new Map<string, Buffer>();

const SERVE: Readonly<
  Record<string, (path: string, response: ServerResponse, request: IncomingMessage) => Promise<void>>
> = {
  async buffer(path, response) {
    const bytes = held.get(path) ?? readFileSync(path);
    held.set(path, bytes);
    response.writeHead(200, { "content-length": bytes.byteLength }).end(bytes);
  },
  async read(path, response) {
    const file = await open(path);
    try {
      const { size } = await file.stat();
      const { buffer } = await file.read(Buffer.allocUnsafe(size), 0, size, 0);
      response.writeHead(200, { "content-length": size }).end(buffer);
    } finally {
      await file.close();
    }
  },
  async stream(path, response) {
    const file = await open(path);
    const { size } = await file.stat();
    response.writeHead(200, { "content-length": size });
    await pipeline(createReadStream(path, { fd: file }), response);
  },
  async thumbnail(path, response) {
    const bytes = await sharp(path).resize(320, 240, { fit: "inside" }).jpeg().toBuffer();
    response.writeHead(200, { "content-length": bytes.byteLength }).end(bytes);
  },
  async upload(_path, response, request) {
    const name = join(folder, randomUUID());
    const hash = createHash("sha256");
    const file = await open(name, "wx");
    try {
      for await (const chunk of request) {
        hash.update(chunk);
        await file.write(chunk);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(name, `${name}.done`);
    response.writeHead(200).end(hash.digest("hex"));
  },
};

const server = createServer((request, response) => {
  const [, what = "", name = ""] = (request.url ?? "/").split("/");
  const serve = SERVE[what];
  if (!serve) return void response.writeHead(404).end();
  serve(join(folder, basename(name)), response, request).catch(() => response.destroy());
});
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
process.on("SIGTERM", () => process.exit());
