import type { IncomingMessage, ServerResponse } from "node:http";
import type { Log } from "../../platform/log.ts";
import type { Outcome } from "../reply/outcome.ts";
import { declaredBytesOf, readBody } from "./request_body.ts";

/** What is known of a request before its route looks at it. */
export interface RequestFacts {
  readonly id: string;
  /** The host the client asked for: as the edge or a trusted proxy passed it on, else the Host header. */
  readonly host: string | undefined;
  /** The address of the client, believed only from a signed hop or a trusted proxy. */
  readonly clientAddress: string | undefined;
  /** The request came through our own edge, proven by its signature. */
  readonly fromEdge: boolean;
  /** Path and query as the client sent them, byte for byte. */
  readonly target: string;
  /** The Content-Type that the client sent, before it was put out of the framework's reach. */
  readonly contentType: string | undefined;
  /** When it began, by the steady clock. */
  readonly startedMs: number;
}

/** A request without the framework. What few requests need (query, log, signal) is made on first use. */
export class RequestContext {
  readonly id: string;
  readonly host: string | undefined;
  readonly clientAddress: string | undefined;
  readonly fromEdge: boolean;
  readonly target: string;
  readonly contentType: string | undefined;
  readonly startedMs: number;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #outcome: Outcome;
  readonly #parentLog: Log;
  readonly #bodyIdleMs: number;
  #log: Log | undefined;
  #query: URLSearchParams | undefined;
  #gone: AbortController | undefined;

  constructor(facts: RequestFacts, at: Connection, options: { readonly log: Log; readonly bodyIdleMs: number }) {
    this.id = facts.id;
    this.host = facts.host;
    this.clientAddress = facts.clientAddress;
    this.fromEdge = facts.fromEdge;
    this.target = facts.target;
    this.contentType = facts.contentType;
    this.startedMs = facts.startedMs;
    this.#request = at.request;
    this.#response = at.response;
    this.#outcome = at.outcome;
    this.#parentLog = options.log;
    this.#bodyIdleMs = options.bodyIdleMs;
  }

  get method(): string {
    return this.#request.method ?? "";
  }

  /** The target without its query. */
  get path(): string {
    const mark = this.target.indexOf("?");
    return mark < 0 ? this.target : this.target.slice(0, mark);
  }

  get query(): URLSearchParams {
    const mark = this.target.indexOf("?");
    this.#query ??= new URLSearchParams(mark < 0 ? "" : this.target.slice(mark + 1));
    return this.#query;
  }

  /** Writes lines that carry the request's id. */
  get log(): Log {
    this.#log ??= this.#parentLog.child({ id: this.id });
    return this.#log;
  }

  /** Aborts when the client goes away before the answer is complete. */
  get signal(): AbortSignal {
    this.#gone ??= watchClient(this.#request, this.#response);
    return this.#gone.signal;
  }

  /** Whether the client understands a chunked answer: HTTP/1.0 does not. */
  get takesChunks(): boolean {
    const { httpVersionMajor, httpVersionMinor } = this.#request;
    return httpVersionMajor * 10 + httpVersionMinor >= 11;
  }

  /** One header, by its lower-case name; the first where there are several. */
  header(name: string): string | undefined {
    const value = this.#request.headers[name];
    return Array.isArray(value) ? value[0] : value;
  }

  /** All lines of a header that may come more than once. */
  headerLines(name: string): readonly string[] {
    return this.#request.headersDistinct[name] ?? [];
  }

  /** The length of the body that the sender announced, in bytes; `undefined` for a chunked one. */
  get declaredBytes(): number | undefined {
    return declaredBytesOf(this.#request, this.fromEdge);
  }

  /** The body as it arrives: see {@link readBody}. To be called once. */
  body(): AsyncIterable<Uint8Array> {
    return readBody(this.#request, {
      fromEdge: this.fromEdge,
      idleMs: this.#bodyIdleMs,
      onBegin: () => this.#askForBody(),
      onBytes: (bytes) => this.#outcome.received(bytes),
    });
  }

  /** Tells a client that waits for it to send the body. HTTP/1.0 knows no such answer. */
  #askForBody(): void {
    const waits = this.#request.httpVersion === "1.1" && /^100-continue$/i.test(this.header("expect") ?? "");
    if (waits) this.#response.writeContinue();
  }
}

/** Where a request has come in. */
export interface Connection {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly outcome: Outcome;
}

declare module "fastify" {
  interface FastifyRequest {
    context: RequestContext;
    /** How much was read and sent, and how it ended. */
    outcome: Outcome;
  }
}

function watchClient(request: IncomingMessage, response: ServerResponse): AbortController {
  const gone = new AbortController();
  const leave = () => gone.abort(new Error("the client went away"));
  const hasLeft = () => {
    if (response.closed && !response.writableFinished) leave();
    // When a body breaks off, the request closes first, and its reader must find the signal aborted.
    if (request.destroyed && !request.complete) leave();
  };
  response.once("close", hasLeft);
  request.once("close", hasLeft);
  // The client may have left before.
  hasLeft();
  return gone;
}
