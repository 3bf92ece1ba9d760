import { slowSvg } from "./hostile_files.ts";
import type { Order, openStudio } from "./studio.ts";
import { untilDrawing } from "./until_drawing.ts";

type Studio = Awaited<ReturnType<typeof openStudio>>;

/** Lets the only decoder draw what takes it long; resolves once it does. */
export async function keepBusy({ imager, place, renderFile }: Studio, order: Order = {}, depth = 6) {
  await imager.warmUp();
  const [pid = -1] = imager.pids;
  const slow = await place(slowSvg(depth));
  const running = renderFile(slow, order);
  // Whoever gets it waits for more before: until then nobody is to take a failure for one that nobody expects.
  running.catch(() => undefined);
  await untilDrawing(pid);
  return { pid, slow, running };
}
