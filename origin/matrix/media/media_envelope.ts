import { essence } from "../../../shared/http/content_headers.ts";
import type { Failure } from "../../../shared/matrix/failure.ts";
import type { MatrixError } from "../../../shared/matrix/matrix_error.ts";
import { malformed, tooLarge, toPeerFailure } from "../peer_failure.ts";
import { MultipartError, type MultipartEvent, MultipartReader } from "./multipart_reader.ts";

/** What the second part of a federation answer is: the media itself, or where to get it. */
export type EnvelopeContent =
  | {
      kind: "media";
      contentType: string | undefined;
      contentDisposition: string | undefined;
      size: number | undefined;
      body: ReadableStream<Uint8Array>;
    }
  | { kind: "location"; url: string };

const MAX_METADATA_BYTES = 65_536;
/** What may follow the media: the end of its delimiter, an epilogue, parts of a later version of the specification. */
const MAX_REST_BYTES = 65_536;

/**
 * Opens the envelope of a federation answer (Server-Server API, "Content Repository"): checks the metadata in its first part
 * and hands out the second, of whose bytes at most `maxBytes` pass, or as many as it announces. The body ends when the answer
 * has ended as it should: what follows the media counts for nothing, but must be there. Throws, and the body errors with, a
 * `Failure` of the peer; no more is read of the source then.
 */
export async function openEnvelope(
  source: ReadableStream<Uint8Array>,
  boundary: string,
  maxBytes: number,
): Promise<EnvelopeContent> {
  const events = new EventSource(source, boundary);
  try {
    await readMetadata(events);
    const headers = await events.expectPart();
    const location = headers.get("location");
    if (location !== undefined) {
      await events.close();
      return { kind: "location", url: location };
    }
    const size = readLength(headers.get("content-length"));
    if (size !== undefined && size > maxBytes) throw tooLarge();
    return {
      kind: "media",
      contentType: headers.get("content-type"),
      contentDisposition: headers.get("content-disposition"),
      size,
      body: mediaStream(events, size, maxBytes),
    };
  } catch (error) {
    await events.close();
    throw toFailure(error);
  }
}

/** The first part must be a JSON object; what is in it is for later versions of the specification. */
async function readMetadata(events: EventSource): Promise<void> {
  const headers = await events.expectPart();
  const type = headers.get("content-type");
  if (type !== undefined && essence(type) !== "application/json") throw malformed(new Error("Part 1 is not JSON"));
  const text = await readText(events);
  let metadata: unknown;
  try {
    metadata = JSON.parse(text);
  } catch (error) {
    throw malformed(error);
  }
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata)) {
    throw malformed(new Error("Part 1 is not a JSON object"));
  }
}

async function readText(events: EventSource): Promise<string> {
  const chunks: Uint8Array[] = [];
  let seen = 0;
  for (let event = await events.next(); event.kind === "data"; event = await events.next()) {
    seen += event.bytes.byteLength;
    if (seen > MAX_METADATA_BYTES) throw malformed(new Error("Part 1 is too long"));
    chunks.push(event.bytes);
  }
  return Buffer.concat(chunks).toString();
}

function mediaStream(events: EventSource, size: number | undefined, maxBytes: number): ReadableStream<Uint8Array> {
  let seen = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const event = await events.next();
          if (event.kind === "data") {
            seen += event.bytes.byteLength;
            if (size !== undefined && seen > size) throw malformed(new Error(`Announced ${size} bytes, sent more`));
            if (seen > maxBytes) throw tooLarge();
            return controller.enqueue(event.bytes);
          }
          if (size !== undefined && seen !== size) throw malformed(new Error(`Announced ${size} bytes, sent ${seen}`));
          await events.readRest(MAX_REST_BYTES);
          controller.close();
        } catch (error) {
          await events.close();
          controller.error(toFailure(error));
        }
      },
      cancel: () => events.close(),
    },
    { highWaterMark: 0 },
  );
}

function toFailure(error: unknown): Failure | MatrixError {
  return error instanceof MultipartError ? malformed(error) : toPeerFailure(error);
}

function readLength(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}

/** The events of a multipart body, one at a time, reading no further than asked. */
class EventSource {
  readonly #chunks: ReadableStreamDefaultReader<Uint8Array>;
  readonly #parser: MultipartReader;
  #ready: MultipartEvent[] = [];
  #over = false;

  constructor(source: ReadableStream<Uint8Array>, boundary: string) {
    this.#chunks = source.getReader();
    this.#parser = new MultipartReader(boundary);
  }

  /** Throws when the body has ended, or is not multipart. */
  async next(): Promise<MultipartEvent> {
    while (this.#ready.length === 0) {
      if (this.#over) throw malformed(new Error("The multipart answer lacks a part"));
      const { done, value } = await this.#chunks.read();
      this.#over = done;
      this.#ready = done ? this.#parser.finish() : this.#parser.push(value);
    }
    return this.#ready.shift() as MultipartEvent;
  }

  async expectPart(): Promise<ReadonlyMap<string, string>> {
    const event = await this.next();
    if (event.kind !== "part") throw malformed(new Error("The multipart answer lacks a part"));
    return event.headers;
  }

  /** Reads to the end of the source, without looking at what comes. Throws if that is more than `maxBytes`. */
  async readRest(maxBytes: number): Promise<void> {
    for (let seen = 0; !this.#over; ) {
      const { done, value } = await this.#chunks.read();
      this.#over = done;
      seen += value?.byteLength ?? 0;
      if (seen > maxBytes) throw malformed(new Error("The multipart answer goes on after the media"));
    }
  }

  async close(): Promise<void> {
    await this.#chunks.cancel().catch(() => {});
  }
}
