import { normaliseContentType, parseDispositionFileName } from "../../../shared/http/content_headers.ts";
import { formatMxc, type Mxc, parseMxc } from "../../../shared/matrix/mxc.ts";
import type { SafeResponse } from "../../net/fetch_answer.ts";
import { FetchError } from "../../net/fetch_error.ts";
import type { SafeFetch } from "../../net/safe_fetch.ts";
import type { SteadyClock } from "../../platform/clock.ts";
import type { Federation } from "../federation/federation.ts";
import { absent, malformed, toPeerFailure } from "../peer_failure.ts";
import type { SigningIdentity } from "../signing_keys.ts";
import { openEnvelope } from "./media_envelope.ts";
import { parseBoundary } from "./multipart_reader.ts";
import { readErrcode, refusal } from "./refusal.ts";

/** Media of another server, on its way to us. */
export interface RemoteMedia {
  readonly contentType: string;
  readonly fileName: string | undefined;
  /** Bytes, where the server announced them; what arrives is checked against it. */
  readonly size: number | undefined;
  /** Errors with a `Failure` if it is cut short, too long or too slow: then nothing of it may be kept. */
  readonly body: ReadableStream<Uint8Array>;
}

/** How media is fetched. Times in milliseconds. */
export interface FetchMediaOptions {
  /** As whom; without, only the older unauthenticated endpoint can be asked. */
  readonly as: SigningIdentity | undefined;
  /** Of the media itself, counted. */
  readonly maxBytes: number;
  /** For everything, from discovery to the last byte. */
  readonly timeoutMs: number;
  /** Between two pieces of the body. */
  readonly idleTimeoutMs: number;
  /** How long the server may wait for media that is not uploaded yet (`timeout_ms`). */
  readonly waitMs: number;
  readonly signal?: AbortSignal;
  /** Ask the server although it is among the ignored hosts. */
  readonly evenIfIgnored?: boolean;
}

/** What media is fetched with. */
export interface PeerMediaParts {
  readonly federation: Pick<Federation, "get">;
  /** For `Location` parts: an ordinary, guarded request. */
  readonly safeFetch: SafeFetch;
  /** Server names that nothing is fetched from (`federation.ignoredHosts`); case does not matter. */
  readonly ignoredHosts: readonly string[];
  readonly clock: SteadyClock;
}

type Limits = FetchMediaOptions & { readonly untilMs: number };

const REDIRECTS = 5;
/** What the envelope of a media may add to its bytes: metadata, headers, delimiters, and some text around them. */
const ENVELOPE_BYTES = 131_072;
/** Time for the network beside `waitMs`, until the headers of an answer are here. */
const HEADERS_MS = 30_000;

/** The media of other servers (Server-Server API, "Content Repository"), with the older endpoint for servers that lack the signed one. */
export class PeerMedia {
  readonly #parts: PeerMediaParts;
  readonly #ignored: ReadonlySet<string>;

  constructor(parts: PeerMediaParts) {
    this.#parts = parts;
    this.#ignored = new Set(parts.ignoredHosts.map((name) => name.toLowerCase()));
  }

  /** Fetches media from the server that its mxc names, and no other. Throws a `Failure` of the peer. */
  async fetch(mxc: Mxc, options: FetchMediaOptions): Promise<RemoteMedia> {
    if (!parseMxc(formatMxc(mxc))) throw absent();
    if (this.#ignored.has(mxc.serverName.toLowerCase()) && !options.evenIfIgnored) throw absent();
    const limits = { ...options, untilMs: this.#parts.clock() + options.timeoutMs };
    try {
      const media = options.as ? await this.#fetchSigned(mxc, limits) : undefined;
      return media ?? (await this.#fetchUnsigned(mxc, limits));
    } catch (error) {
      throw toPeerFailure(error);
    }
  }

  /** `undefined` if the server does not know the endpoint. */
  async #fetchSigned(mxc: Mxc, options: Limits): Promise<RemoteMedia | undefined> {
    const target = `/_matrix/federation/v1/media/download/${mxc.mediaId}?timeout_ms=${options.waitMs}`;
    const response = await this.#ask(mxc, target, { ...options, maxBytes: options.maxBytes + ENVELOPE_BYTES });
    if (response.status !== 200) {
      const errcode = await readErrcode(response);
      if (response.status === 404 && errcode === "M_UNRECOGNIZED") return undefined;
      throw refusal(response, errcode);
    }
    return await this.#unpack(response, options);
  }

  async #unpack(response: SafeResponse, options: Limits): Promise<RemoteMedia> {
    const boundary = parseBoundary(response.headers.get("content-type"));
    if (boundary === undefined) {
      await response.body.cancel();
      throw malformed(new Error("The answer is not multipart/mixed"));
    }
    const content = await openEnvelope(response.body, boundary, options.maxBytes);
    if (content.kind === "location") return await this.#fetchLocation(content.url, options);
    const { contentType, contentDisposition, size, body } = content;
    return { ...described(contentType, contentDisposition), size, body };
  }

  /** No credentials, no discovery, no https to http: the URL is as foreign as any in a web page. */
  async #fetchLocation(url: string, options: Limits): Promise<RemoteMedia> {
    const response = await this.#parts.safeFetch(url, { reach: "public", httpsOnly: true, ...this.#limitsOf(options) });
    if (response.status === 200) return bare(response);
    await response.body.cancel();
    throw malformed(new Error(`The place of the media answered with status ${response.status}`));
  }

  /** The older endpoint, for servers that don't know the authenticated one. */
  async #fetchUnsigned(mxc: Mxc, options: Limits): Promise<RemoteMedia> {
    const query = `allow_remote=false&allow_redirect=true&timeout_ms=${options.waitMs}`;
    const target = `/_matrix/media/v3/download/${mxc.serverName}/${mxc.mediaId}?${query}`;
    const response = await this.#ask(mxc, target, { ...options, as: undefined });
    if (response.status === 200) return bare(response);
    const errcode = await readErrcode(response);
    throw response.status === 404 && errcode !== undefined ? absent() : refusal(response, errcode);
  }

  async #ask({ serverName }: Mxc, target: string, options: Limits): Promise<SafeResponse> {
    const headersTimeoutMs = options.waitMs + HEADERS_MS;
    const limits = this.#limitsOf(options);
    return await this.#parts.federation.get({ serverName, target, as: options.as, headersTimeoutMs, ...limits });
  }

  /** What holds for every request, with the time that is left. */
  #limitsOf({ maxBytes, idleTimeoutMs, signal, untilMs }: Limits) {
    const timeoutMs = untilMs - this.#parts.clock();
    if (timeoutMs <= 0) throw new FetchError("timeout", "No time left for the next request");
    return { redirects: REDIRECTS, maxBytes, idleTimeoutMs, timeoutMs, ...(signal ? { signal } : {}) };
  }
}

function bare(response: SafeResponse): RemoteMedia {
  const { headers } = response;
  const length = headers.get("content-length");
  return {
    ...described(headers.get("content-type"), headers.get("content-disposition")),
    size: length === null ? undefined : Number(length),
    body: withPeerFailures(response.body),
  };
}

function described(contentType: string | null | undefined, disposition: string | null | undefined) {
  const fileName = disposition ? parseDispositionFileName(disposition) : undefined;
  return { contentType: normaliseContentType(contentType), fileName };
}

function withPeerFailures(source: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const chunks = source.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await chunks.read();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          controller.error(toPeerFailure(error));
        }
      },
      cancel: (reason) => chunks.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
