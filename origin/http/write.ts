import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { FastifyReply } from "fastify";
import type { Answer } from "../../shared/respond.ts";

/**
 * Writes answers past the framework, which would add a charset to JSON types and a length to answers without a body: what
 * `shared/` decides is what goes on the wire, so that both tiers answer alike.
 */

/** Writes a complete small answer. */
export function writeAnswer(reply: FastifyReply, answer: Answer): void {
  const body = answer.body === null ? undefined : Buffer.from(answer.body);
  const length = body ? { "content-length": String(body.byteLength) } : {};
  reply.hijack();
  reply.raw.writeHead(answer.status, { ...answer.headers, ...length });
  reply.raw.end(body);
}

/** Writes status and headers, and no body: for HEAD and 304. */
export function writeHead(reply: FastifyReply, status: number, headers: Readonly<Record<string, string>>): void {
  reply.hijack();
  reply.raw.writeHead(status, { ...headers });
  reply.raw.end();
}

/**
 * Writes status, headers and a body as it comes. Resolves when all was handed over, or the client has gone away. A body that
 * fails midway ends the connection, so that nobody takes half of it for the whole; the failure is thrown, for the log.
 */
export async function writeBody(
  reply: FastifyReply,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Readable,
): Promise<void> {
  reply.hijack();
  reply.raw.writeHead(status, { ...headers });
  try {
    await pipeline(body, reply.raw);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function isGone(error: unknown): boolean {
  const { code, name } = error as { code?: string; name?: string };
  return code === "ERR_STREAM_PREMATURE_CLOSE" || code === "ECONNRESET" || code === "EPIPE" || name === "AbortError";
}
