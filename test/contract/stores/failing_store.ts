import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Lifetime } from "../../support/lifetime.ts";

/** Somebody else's S3 store in a bad hour: answers each request as the test says, and counts them. */
export interface FailingStore {
  readonly options: { endpoint: string; bucketName: string; accessKeyId: string; accessSecret: string };
  readonly requests: string[];
}

/** Starts it on a loopback port. `answer` gets the request once its body has been read. */
export async function startFailingStore(
  t: Lifetime,
  answer: (request: IncomingMessage & { body: Buffer }, response: ServerResponse, nth: number) => void,
): Promise<FailingStore> {
  const requests: string[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    requests.push(`${request.method} ${request.url?.replace(/\?.*/, "")}`);
    answer(Object.assign(request, { body: Buffer.concat(chunks) }), response, requests.length);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    server.closeAllConnections();
    server.close();
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { options: { endpoint, bucketName: "media", accessKeyId: "key", accessSecret: "secret" }, requests };
}

/** An answer as S3 gives its errors. */
export function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { "content-type": "application/xml" }).end(`<Error><Code>${code}</Code></Error>`);
}
