import type { Metrics } from "../../origin/platform/metrics.ts";

/** How many requests have reached a route, whatever it was. */
export async function requestsSeen(metrics: Pick<Metrics, "page">): Promise<number> {
  const { body } = await metrics.page();
  const counts = [...body.matchAll(/^media_http_requests_total\{.*\} (\d+)$/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}
