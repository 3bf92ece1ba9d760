import { request as httpRequest } from "node:http";
import { until } from "./until.ts";

/** An answer, whole. Header names are lower case. */
export interface Heard {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** What a test may say of its request. `path` goes on the wire as it is, byte for byte. */
export interface Asking {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly token?: string | undefined;
  readonly body?: Buffer | string | undefined;
}

/** A connection that nothing has moved on for so long hangs: better an error that says what than a test that never ends. */
const SILENCE_MS = 120_000;

/** Asks over plain HTTP without normalising the path, and hears the whole answer. */
export function ask(base: string, path: string, asking: Asking = {}): Promise<Heard> {
  const { hostname, port, host } = new URL(base);
  const body = asking.body === undefined ? undefined : Buffer.from(asking.body as string);
  const headers: Record<string, string> = {
    host,
    "accept-encoding": "identity",
    ...(asking.token === undefined ? {} : { authorization: `Bearer ${asking.token}` }),
    ...(body ? { "content-length": String(body.byteLength) } : {}),
    ...asking.headers,
  };
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { hostname, port, path, method: asking.method ?? "GET", headers, agent: false, timeout: SILENCE_MS },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const plain = Object.entries(response.headers).map(([name, value]) => [name, String(value)]);
          resolve({
            status: response.statusCode ?? 0,
            headers: Object.fromEntries(plain),
            body: Buffer.concat(chunks),
          });
        });
      },
    );
    request.on("timeout", () => request.destroy(new Error(`no answer to ${path} in ${SILENCE_MS} ms`)));
    request.on("error", reject);
    request.end(body);
  });
}

/** Asks with a Host header. */
export function askHost(base: string, host: string, path: string, asking: Asking = {}): Promise<Heard> {
  return ask(base, path, { ...asking, headers: { host, ...asking.headers } });
}

/** Uploads bytes and returns `server/mediaId`. */
export async function upload(
  base: string,
  token: string,
  body: Buffer | string,
  options: { type?: string; name?: string; headers?: Record<string, string> } = {},
): Promise<string> {
  const query = options.name === undefined ? "" : `?filename=${encodeURIComponent(options.name)}`;
  const heard = await ask(base, `/_matrix/media/v3/upload${query}`, {
    method: "POST",
    token,
    body,
    headers: { ...(options.type === undefined ? {} : { "content-type": options.type }), ...options.headers },
  });
  if (heard.status !== 200) throw new Error(`the upload was answered ${heard.status}: ${heard.body}`);
  return (JSON.parse(heard.body.toString()) as { content_uri: string }).content_uri.replace("mxc://", "");
}

/**
 * Asks until the edge answers by itself, and resolves with that answer. Nobody waits for what a miss lets the origin publish: the
 * edge finds it when it is there.
 */
export function untilHit(get: () => Promise<Heard>): Promise<Heard> {
  return until(async () => {
    const heard = await get();
    return isHit(heard) && heard;
  }, "the edge does not answer by itself");
}

/** Whether the edge has answered by itself. */
export function isHit({ headers }: Heard): boolean {
  return headers["cache-status"]?.endsWith("hit") === true;
}

/** The JSON of an answer. */
export function jsonOf(heard: Heard): Record<string, unknown> {
  return JSON.parse(heard.body.toString());
}

/** Headers that belong to one connection or one tier, and say nothing of the media. */
const OF_THE_HOP = new Set(["date", "connection", "keep-alive", "transfer-encoding", "cache-status", "server"]);

/** An answer as a client can tell it from another: without what belongs to the connection or the tier. */
export function told(heard: Heard): { status: number; headers: Record<string, string>; body: string } {
  const headers = Object.entries(heard.headers).filter(([name]) => !OF_THE_HOP.has(name));
  return { status: heard.status, headers: Object.fromEntries(headers), body: heard.body.toString("base64") };
}
