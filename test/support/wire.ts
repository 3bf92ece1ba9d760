import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { Lifetime } from "./lifetime.ts";

/** A wire to a server of somebody else's, on a loopback port, that a test can cut, or let fall silent. */
export interface Wire {
  /** The address of the server, by way of the wire. */
  readonly url: string;
  /** How many connections it has carried. */
  readonly carried: number;
  /** Breaks every connection, and takes no other until {@link mend}. */
  cut(): void;
  /** Carries nothing any more on the connections that are open, in silence; others are carried. */
  silence(): void;
  mend(): void;
}

/** Lays it to the server of this URL. */
export async function layWire(lifetime: Lifetime, to: string): Promise<Wire> {
  const target = new URL(to);
  const open = new Set<[Socket, Socket]>();
  let isCut = false;
  let carried = 0;
  const server = createServer((near) => {
    if (isCut) return void near.destroy();
    carried += 1;
    const far = connect(Number(target.port || 5432), target.hostname);
    const pair: [Socket, Socket] = [near, far];
    open.add(pair);
    for (const [from, into] of [pair, [far, near] as const]) {
      from.on("error", () => undefined);
      from.pipe(into);
      from.on("close", () => {
        open.delete(pair);
        into.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const breakAll = () => {
    for (const pair of open) for (const socket of pair) socket.destroy();
  };
  lifetime.after(() => {
    breakAll();
    server.close();
  });
  const url = new URL(to);
  url.hostname = "127.0.0.1";
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    get carried() {
      return carried;
    },
    cut() {
      isCut = true;
      breakAll();
    },
    silence() {
      for (const [near, far] of open) {
        near.unpipe(far);
        far.unpipe(near);
        near.resume();
        far.resume();
      }
    },
    mend() {
      isCut = false;
    },
  };
}
