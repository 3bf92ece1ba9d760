import { type IncomingHttpHeaders, request } from "node:http";

/** An answer, read to its end. */
export interface Asked {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  json(): Record<string, unknown>;
}

/** What a request may have. The token goes into `Authorization`. */
export interface AskOptions {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly token?: string;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
}

/** One request, with nothing added to it and nothing decoded in its answer. Fails after 60 s of silence: no test may hang. */
export async function ask(base: string, path: string, options: AskOptions = {}): Promise<Asked> {
  const headers = { ...(options.token ? { authorization: `Bearer ${options.token}` } : {}), ...options.headers };
  return await new Promise((resolve, reject) => {
    const { hostname, port } = new URL(base);
    const sent = request({ hostname, port, path, method: options.method ?? "GET", headers, agent: false }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("error", reject);
      answer.on("end", () => {
        const body = Buffer.concat(chunks);
        const json = () => JSON.parse(body.toString()) as Record<string, unknown>;
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body, json });
      });
    });
    sent.setTimeout(60_000, () => sent.destroy(new Error(`no answer to ${path}`)));
    sent.on("error", reject);
    void write(sent, options.body).catch(reject);
  });
}

async function write(sent: ReturnType<typeof request>, body: AskOptions["body"]): Promise<void> {
  if (body instanceof Uint8Array || body === undefined) return void sent.end(body);
  for await (const chunk of body) {
    if (!sent.write(chunk)) await new Promise((resolve) => sent.once("drain", resolve));
  }
  sent.end();
}
