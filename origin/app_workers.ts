import type { Config } from "./config/schema.ts";
import { pageOfWorkers } from "./platform/metrics_of_workers.ts";
import { type MetricsServer, startMetricsServer } from "./platform/metrics_server.ts";

/** The part of an origin of several processes that the process above them has: the metrics of all, where they are wanted. */
export async function serveMetricsOfWorkers({ metrics }: Config): Promise<MetricsServer | undefined> {
  return metrics.enabled ? await startMetricsServer(pageOfWorkers(), metrics) : undefined;
}
