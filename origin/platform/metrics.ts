import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/**
 * Every metric of the origin, declared once, in one table. Labels come from closed sets only (our own actions, methods, status codes,
 * outcomes): never from what a client or a remote server can choose.
 */

/** What comes of a question to a decoder process. */
export type DecodingOutcome =
  | ("inspected" | "drawn" | "broken" | "failed")
  | ("time" | "memory" | "crash" | "slow" | "killed" | "unfit");

/** A label, and what stands in it. */
interface Label<V> {
  readonly name: string;
  /** Never there: it says only which type the values have. */
  readonly values?: V;
}

interface Metric<K extends "counter" | "gauge" | "histogram", L extends readonly Label<unknown>[]> {
  readonly kind: K;
  readonly name: string;
  readonly help: string;
  readonly labels: L;
  /** How several workers' gauges become one: their sum unless said. */
  readonly aggregator?: "sum" | "max";
}

const TABLE = {
  /** A request that reached a route of ours. */
  requestSeen: counter("media_http_requests_total", "Requests that reached a route", label("action"), label("method")),
  /** A request that has ended. Its status is 499 where the client left before its answer was whole. */
  requestAnswered: counter(
    "media_http_responses_total",
    "Answers given, by status",
    label("action"),
    label("method"),
    label<number>("statusCode"),
  ),
  /** How long it took, from its first header to its last byte, in milliseconds. */
  requestTook: histogram(
    "media_http_response_time_seconds",
    "Time from the first header of a request to the last byte of its answer",
    label("action"),
    label("method"),
  ),
  /** A thumbnail that was made (not found ready). */
  thumbnailMade: counter(
    "media_thumbnails_generated_total",
    "Thumbnails that were made",
    label<"crop" | "scale">("method"),
    label<boolean>("animated"),
  ),
  /** A thumbnail that was served although it could not be stored. */
  thumbnailUnstored: counter(
    "media_thumbnails_unstored_total",
    "Thumbnails that were served although they could not be stored",
  ),
  /** Pictures that wait for a decoder. */
  decodingsWaiting: gauge("media_decodings_waiting", "Pictures that wait for a decoder"),
  /** A picture that has got a decoder, after so many milliseconds. */
  decodingBegun: histogram("media_decoding_wait_seconds", "Time from wanting a decoder to having one"),
  /** What came of one question to a decoder: its answer, or how it ended instead. */
  decodingEnded: counter(
    "media_decodings_total",
    "Questions to decoders, by what came of them",
    label<DecodingOutcome>("outcome"),
  ),
  /** A document or body written to the edge bucket. */
  published: counter(
    "media_edge_writes_total",
    "Objects written to the edge bucket",
    label<"descriptor" | "body" | "verdict" | "tombstone" | "key">("what"),
  ),
  /** A media of another server that was asked for there, and what came of it. */
  mediaFetched: counter(
    "media_downloaded_total",
    "Media that other servers were asked for, by what came of it",
    label<"stored" | "absent" | "failed">("outcome"),
  ),
  /** An access token that was judged, and by whom. */
  tokenJudged: counter(
    "media_tokens_judged_total",
    "Access tokens judged, by who knew the answer",
    label<"cache" | "homeserver" | "application_service" | "shared_secret">("by"),
  ),
  /** A request that was refused because of a limit, named by the key of the configuration. */
  limitReached: counter(
    "media_limits_reached_total",
    "Requests refused with 429, by the limit they reached",
    label("limit"),
  ),
  /** News of another process that could not be read; the channel is one of our own. */
  newsIgnored: counter(
    "media_news_ignored_total",
    "Notifications that could not be read, by channel",
    label("channel"),
  ),
  /** Whether a datastore of the configuration was where it must be when it was last looked for. */
  datastorePresent: gauge(
    "media_datastore_present",
    "1 where a datastore is there, 0 where it is not: a disk that is not mounted, say",
    label("datastore"),
  ),
  /** Changes that the edge must learn and has not been told yet. Each worker counts the same ones. */
  outboxWaiting: {
    ...gauge("media_edge_outbox_waiting", "Changes the edge has not been told of yet"),
    aggregator: "max" as const,
  },
  /** Requests that wait for an upload to the id they ask for. */
  uploadWaiters: gauge("media_upload_waiters", "Requests that wait for an upload to the id they ask for"),
  /** An error that nobody has foreseen. */
  unexpectedError: counter(
    "mxcdn_unexpected_errors_total",
    "Errors that nobody has foreseen; each ends the process, so that it is started again",
  ),
};

type Values<L> = { readonly [I in keyof L]: L[I] extends Label<infer V> ? V : never };
type Recorder<M> =
  M extends Metric<infer K, infer L>
    ? K extends "counter"
      ? (...labels: Values<L>) => void
      : (...labelsAndValue: [...Values<L>, value: number]) => void
    : never;

/**
 * A function for each metric of the table, which takes its labels in their order: a counter counts one; a gauge and a histogram take
 * their value last, a duration in milliseconds.
 */
export type Metrics = { readonly [N in keyof typeof TABLE]: Recorder<(typeof TABLE)[N]> } & {
  /** The page that Prometheus reads. */
  page(): Promise<MetricsPage>;
};

/** The text that Prometheus reads. */
export interface MetricsPage {
  readonly contentType: string;
  readonly body: string;
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Makes the metrics of one process, in a registry of their own. `ofWorker`: the process above reads them, too. */
export function makeMetrics(options: { readonly ofProcess: boolean; readonly ofWorker?: boolean }): Metrics {
  const registry = new Registry();
  if (options.ofWorker) share(registry);
  if (options.ofProcess) collectDefaultMetrics({ register: registry });
  const recorders = Object.entries(TABLE).map(([name, metric]) => [name, recorderOf(metric, registry)]);
  const page = async () => ({ contentType: registry.contentType, body: await registry.metrics() });
  return { ...(Object.fromEntries(recorders) as Omit<Metrics, "page">), page };
}

/** The page of all workers together, to be made in the process above them. Errors: a worker that does not answer in time. */
export function pageOfWorkers(): () => Promise<MetricsPage> {
  const all = new AggregatorRegistry();
  return async () => ({ contentType: all.contentType, body: await all.clusterMetrics() });
}

/** Lets the process above a worker read its metrics. */
function share(registry: Registry): void {
  AggregatorRegistry.setRegistries(registry);
  // Answers what the process above asks.
  new AggregatorRegistry();
}

/** The page for Prometheus, on a port of its own, so that nobody reaches it by way of the public one. */
export interface MetricsServer {
  readonly address: string;
  close(): Promise<void>;
}

/** Starts answering `GET /metrics`. */
export async function startMetricsServer(
  page: Metrics["page"],
  listen: { readonly bindAddress: string; readonly port: number },
): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    // Whoever asked may have left.
    response.on("error", () => undefined);
    answer(page, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(listen.port, listen.bindAddress, resolve);
  });
  // A connection that cannot be taken in must not end the process.
  server.on("error", () => undefined);
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://${listen.bindAddress}:${port}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

async function answer(page: Metrics["page"], request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url?.split("?", 1)[0] !== "/metrics") return void response.writeHead(404).end();
  try {
    const { contentType, body } = await page();
    response.writeHead(200, { "content-type": contentType }).end(body);
  } catch {
    // A worker that has just ended cannot answer; whoever asks comes again.
    response.writeHead(503).end();
  }
}

function recorderOf(
  {
    kind,
    name,
    help,
    labels,
    aggregator = "sum",
  }: Metric<"counter" | "gauge" | "histogram", readonly Label<unknown>[]>,
  registry: Registry,
): (...given: readonly unknown[]) => void {
  const labelNames = labels.map((one) => one.name);
  const common = { name, help, labelNames, registers: [registry] };
  const labelsOf = (given: readonly unknown[]) =>
    Object.fromEntries(labelNames.map((labelName, at) => [labelName, String(given[at])]));
  if (kind === "counter") {
    const metric = new Counter(common);
    return (...given) => metric.inc(labelsOf(given));
  }
  if (kind === "gauge") {
    const metric = new Gauge({ ...common, aggregator });
    return (...given) => metric.set(labelsOf(given), Number(given.at(-1)));
  }
  const metric = new Histogram({ ...common, buckets: SECONDS });
  return (...given) => metric.observe(labelsOf(given), Math.max(0, Number(given.at(-1))) / 1000);
}

function label<V extends string | number | boolean = string>(name: string): Label<V> {
  return { name };
}

function counter<const L extends readonly Label<unknown>[]>(
  name: string,
  help: string,
  ...labels: L
): Metric<"counter", L> {
  return { kind: "counter", name, help, labels };
}

function gauge<const L extends readonly Label<unknown>[]>(
  name: string,
  help: string,
  ...labels: L
): Metric<"gauge", L> {
  return { kind: "gauge", name, help, labels };
}

function histogram<const L extends readonly Label<unknown>[]>(
  name: string,
  help: string,
  ...labels: L
): Metric<"histogram", L> {
  return { kind: "histogram", name, help, labels };
}
