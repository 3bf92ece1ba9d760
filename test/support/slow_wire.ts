import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { Lifetime } from "./lifetime.ts";

/** Lays a wire to the server of this URL on which every answer comes `lateMs` milliseconds late. Resolves with its URL. */
export async function laySlowWire(lifetime: Lifetime, to: string, lateMs: number): Promise<string> {
  const target = new URL(to);
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => open.delete(socket));
    }
    near.pipe(far);
    const later = (work: () => void) => setTimeout(() => !near.destroyed && work(), lateMs);
    far.on("data", (chunk) => later(() => near.write(chunk)));
    far.on("close", () => later(() => near.end()));
    near.on("close", () => far.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  lifetime.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const url = new URL(to);
  url.hostname = "127.0.0.1";
  url.port = String((server.address() as AddressInfo).port);
  return url.href.replace(/\/$/, "");
}
