import type { FastifyRequest } from "fastify";
import type { Log } from "../../platform/log.ts";
import type { Outcome } from "../reply/outcome.ts";

/** What is known of a request before its route looks at it. */
export interface RequestContext {
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
  /** Aborts when the client goes away before the answer is complete. */
  readonly signal: AbortSignal;
  /** Tells a client that waits for it to send the body (`100 Continue`). To be called before the body is read. */
  readonly askForBody: () => void;
  /** When it began, by the steady clock. */
  readonly startedMs: number;
  readonly log: Log;
}

declare module "fastify" {
  interface FastifyRequest {
    context: RequestContext;
    /** How far it gets. */
    outcome: Outcome;
  }
}

/** The query of a request, parsed from its raw target. */
export function queryOf(request: FastifyRequest): URLSearchParams {
  const { target } = request.context;
  const mark = target.indexOf("?");
  return new URLSearchParams(mark < 0 ? "" : target.slice(mark + 1));
}

/** One header of a request, or `undefined`. */
export function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
