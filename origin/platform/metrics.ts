import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { shareMetrics } from "./metrics_of_workers.ts";

/** What comes of a question to a decoder process. */
export type DecodingOutcome =
  | ("inspected" | "drawn" | "broken" | "failed")
  | ("time" | "memory" | "crash" | "slow" | "killed" | "unfit");

/**
 * Every metric of the origin, declared once. Labels come from closed sets only (our own actions, methods, status codes,
 * outcomes): never from what a client or a remote server can choose.
 */
export interface Metrics {
  /** A request that reached a route of ours. */
  requestSeen(action: string, method: string): void;
  /**
   * A request that has ended. `status`: 499 where the client left before its answer was whole. `milliseconds` from its first
   * header to its last byte.
   */
  requestAnswered(action: string, method: string, status: number, milliseconds: number): void;
  /** A thumbnail that was made (not found ready). */
  thumbnailMade(method: "crop" | "scale", animated: boolean): void;
  /** Pictures that wait for a decoder. */
  decodingsWaiting(count: number): void;
  /** A picture whose turn for a decoder has come, after so many milliseconds. */
  decodingBegun(waitedMs: number): void;
  /** What came of one question to a decoder: its answer, or how it ended instead. */
  decodingEnded(outcome: DecodingOutcome): void;
  /** A thumbnail that was served although it could not be stored. */
  thumbnailUnstored(): void;
  /** A document or body written to the edge bucket. */
  published(what: "descriptor" | "body" | "verdict" | "tombstone" | "key"): void;
  /** A media of another server that was asked for there, and what came of it. */
  mediaFetched(outcome: "stored" | "absent" | "failed"): void;
  /** An access token that was judged, and by whom. */
  tokenJudged(by: "cache" | "homeserver" | "application_service" | "shared_secret"): void;
  /** A request that was refused because of a limit, named by the key of the configuration. */
  limitReached(limit: string): void;
  /** News of another process that could not be read. `channel`: one of our own. */
  newsIgnored(channel: string): void;
  /** Whether a datastore of the configuration was where it must be when it was last looked for. */
  datastorePresent(datastore: string, isPresent: boolean): void;
  /** Changes that the edge must learn and has not been told yet. */
  outboxWaiting(count: number): void;
  /** Requests that wait for an upload to the id they ask for. */
  uploadWaiters(count: number): void;
  /** An error that nobody has foreseen. */
  unexpectedError(): void;
  /** The page that Prometheus reads. */
  page(): Promise<{ contentType: string; body: string }>;
  /** How many requests each action has seen, for tests and the health page. */
  requestsSeen(): Promise<number>;
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Makes the metrics of one process, in a registry of their own. `ofWorker`: the process above reads them, too. */
export function makeMetrics(options: { ofProcess: boolean; ofWorker?: boolean }): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (options.ofWorker) shareMetrics(registry);
  if (options.ofProcess) collectDefaultMetrics({ register: registry });

  const seen = new Counter({
    name: "media_http_requests_total",
    help: "Requests that reached a route",
    labelNames: ["action", "method"] as const,
    registers,
  });
  const answered = new Counter({
    name: "media_http_responses_total",
    help: "Answers given, by status",
    labelNames: ["action", "method", "statusCode"] as const,
    registers,
  });
  const duration = new Histogram({
    name: "media_http_response_time_seconds",
    help: "Time from the first header of a request to the last byte of its answer",
    labelNames: ["action", "method"] as const,
    buckets: SECONDS,
    registers,
  });
  const thumbnails = new Counter({
    name: "media_thumbnails_generated_total",
    help: "Thumbnails that were made",
    labelNames: ["method", "animated"] as const,
    registers,
  });
  const decodingsWaiting = new Gauge({
    name: "media_decodings_waiting",
    help: "Pictures that wait for a decoder",
    registers,
  });
  const decodingWait = new Histogram({
    name: "media_decoding_wait_seconds",
    help: "Time from wanting a decoder to having one",
    buckets: SECONDS,
    registers,
  });
  const decodings = new Counter({
    name: "media_decodings_total",
    help: "Questions to decoders, by what came of them",
    labelNames: ["outcome"] as const,
    registers,
  });
  const unstored = new Counter({
    name: "media_thumbnails_unstored_total",
    help: "Thumbnails that were served although they could not be stored",
    registers,
  });
  const published = new Counter({
    name: "media_edge_writes_total",
    help: "Objects written to the edge bucket",
    labelNames: ["what"] as const,
    registers,
  });
  const fetched = new Counter({
    name: "media_downloaded_total",
    help: "Media that other servers were asked for, by what came of it",
    labelNames: ["outcome"] as const,
    registers,
  });
  const tokens = new Counter({
    name: "media_tokens_judged_total",
    help: "Access tokens judged, by who knew the answer",
    labelNames: ["by"] as const,
    registers,
  });
  const limits = new Counter({
    name: "media_limits_reached_total",
    help: "Requests refused with 429, by the limit they reached",
    labelNames: ["limit"] as const,
    registers,
  });
  const news = new Counter({
    name: "media_news_ignored_total",
    help: "Notifications that could not be read, by channel",
    labelNames: ["channel"] as const,
    registers,
  });
  const present = new Gauge({
    name: "media_datastore_present",
    help: "1 where a datastore is there, 0 where it is not: a disk that is not mounted, say",
    labelNames: ["datastore"] as const,
    registers,
  });
  const outbox = new Gauge({
    name: "media_edge_outbox_waiting",
    help: "Changes the edge has not been told of yet",
    // Each worker counts the same ones.
    aggregator: "max",
    registers,
  });
  const uploadWaiters = new Gauge({
    name: "media_upload_waiters",
    help: "Requests that wait for an upload to the id they ask for",
    registers,
  });
  const unexpected = new Counter({
    name: "mxcdn_unexpected_errors_total",
    help: "Errors that nobody has foreseen; each ends the process, so that it is started again",
    registers,
  });

  return {
    requestSeen: (action, method) => seen.inc({ action, method }),
    requestAnswered(action, method, status, milliseconds) {
      answered.inc({ action, method, statusCode: String(status) });
      duration.observe({ action, method }, milliseconds / 1000);
    },
    thumbnailMade: (method, animated) => thumbnails.inc({ method, animated: String(animated) }),
    decodingsWaiting: (count) => decodingsWaiting.set(count),
    decodingBegun: (waitedMs) => decodingWait.observe(Math.max(0, waitedMs) / 1000),
    decodingEnded: (outcome) => decodings.inc({ outcome }),
    thumbnailUnstored: () => unstored.inc(),
    published: (what) => published.inc({ what }),
    mediaFetched: (outcome) => fetched.inc({ outcome }),
    tokenJudged: (by) => tokens.inc({ by }),
    limitReached: (limit) => limits.inc({ limit }),
    newsIgnored: (channel) => news.inc({ channel }),
    datastorePresent: (datastore, isPresent) => present.set({ datastore }, isPresent ? 1 : 0),
    outboxWaiting: (count) => outbox.set(count),
    uploadWaiters: (count) => uploadWaiters.set(count),
    unexpectedError: () => unexpected.inc(),
    page: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
    async requestsSeen() {
      const { values } = await seen.get();
      return values.reduce((sum, one) => sum + one.value, 0);
    },
  };
}
