import type { Config } from "./config/schema.ts";
import { type MetricsServer, startMetricsServer } from "./http/metrics_server.ts";
import { pageOfWorkers } from "./platform/metrics_of_workers.ts";

/** The part of an origin of several processes that the process above them has: the metrics of all, where they are wanted. */
export async function serveMetricsOfWorkers({ metrics }: Config): Promise<MetricsServer | undefined> {
  return metrics.enabled ? await startMetricsServer(pageOfWorkers(), metrics) : undefined;
}
