import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { Lifetime } from "./lifetime.ts";

/** A way to a server that breaks: connections are reset after a number of bytes that is drawn for each. */
export interface CuttingProxy {
  /** The address of the server, by way of the proxy. */
  readonly url: string;
  /** How many connections it has cut. */
  readonly cuts: number;
  /** Cuts each new connection after up to so many bytes, whichever way they go; 0: none, and none that is open. */
  cutWithin(bytes: number): void;
}

/** Starts it on a loopback port. */
export async function startCuttingProxy(t: Lifetime, to: string): Promise<CuttingProxy> {
  const target = new URL(to);
  const open = new Set<Socket>();
  let most = 0;
  let cuts = 0;
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ host: target.hostname, port: Number(target.port), allowHalfOpen: true });
    let left = Math.floor(Math.random() * most);
    const cut = () => {
      near.resetAndDestroy();
      far.destroy();
    };
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from);
      from.on("error", cut);
      from.on("close", () => {
        open.delete(from);
        into.destroy();
      });
      from.on("end", () => into.end());
      from.on("drain", () => into.resume());
      from.on("data", (chunk: Buffer) => {
        const isCut = most > 0 && chunk.byteLength > left;
        if (!into.write(isCut ? chunk.subarray(0, left) : chunk)) from.pause();
        left -= chunk.byteLength;
        if (!isCut) return;
        cuts += 1;
        // What is written is let through first.
        setImmediate(cut);
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const url = new URL(to);
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    get cuts() {
      return cuts;
    },
    cutWithin(bytes) {
      most = bytes;
    },
  };
}
