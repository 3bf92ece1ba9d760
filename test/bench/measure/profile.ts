import { writeFile } from "node:fs/promises";

/** Records what a Node process that was started with `--inspect` spends its time on, over the inspector's own protocol. */
export async function profile(inspectorPort: number, file: string, work: () => Promise<unknown>): Promise<void> {
  const [target] = (await (await fetch(`http://127.0.0.1:${inspectorPort}/json/list`)).json()) as [
    { webSocketDebuggerUrl: string },
  ];
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve, { once: true });
    socket.addEventListener("error", reject, { once: true });
  });
  const waiting = new Map<number, (result: { profile?: unknown }) => void>();
  socket.addEventListener("message", ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id: number; result: { profile?: unknown } };
    waiting.get(id)?.(result);
  });
  let last = 0;
  const call = (method: string) => {
    const id = ++last;
    socket.send(JSON.stringify({ id, method }));
    return new Promise<{ profile?: unknown }>((resolve) => waiting.set(id, resolve));
  };
  await call("Profiler.enable");
  await call("Profiler.start");
  await work();
  const { profile: recorded } = await call("Profiler.stop");
  socket.close();
  await writeFile(file, JSON.stringify(recorded));
}
