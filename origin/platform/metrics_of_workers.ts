import { AggregatorRegistry, type Registry } from "prom-client";

/** The metrics of an origin of several processes: each keeps its own, and the process above them adds them up when asked. */

/** Lets the process above a worker read its metrics. */
export function shareMetrics(registry: Registry): void {
  AggregatorRegistry.setRegistries(registry);
  // Answers what the process above asks.
  new AggregatorRegistry();
}

/** The page of all workers together, to be made in the process above them. Errors: a worker that does not answer in time. */
export function pageOfWorkers(): () => Promise<{ contentType: string; body: string }> {
  const all = new AggregatorRegistry();
  return async () => ({ contentType: all.contentType, body: await all.clusterMetrics() });
}
