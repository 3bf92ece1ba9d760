import { Client } from "undici";
import type { Connection } from "./connect.ts";

/** Bytes that the headers of an answer may have, all together. */
export const MAX_HEADER_BYTES = 16_384;
/** What may arrive beside headers and body: interim answers, the framing of chunks and of TLS records… */
const FRAMING_BYTES = 65_536;
/** …and of those so much for each byte of a body, which is enough where its pieces have a hundred bytes. */
const FRAMING_RATIO = 1 / 2;

/** One request and its answer, and what becomes known of the connection that carries them. */
export class Exchange {
  readonly #maxWireBytes: number;
  #connection: "none" | "new" | "kept" = "none";
  #isAnswered = false;

  /** `maxBytes`: of the answer's body. */
  constructor(maxBytes: number) {
    this.#maxWireBytes = MAX_HEADER_BYTES + FRAMING_BYTES + maxBytes * (1 + FRAMING_RATIO);
  }

  /**
   * True while no byte of an answer has come over a connection that was kept from before, also where the request is still to be
   * sent over it: if it breaks now, then most likely because the peer closed it without knowing of the request (RFC 9112, section 9.5).
   */
  get mayHaveCrossedClosing(): boolean {
    return this.#connection !== "new" && !this.#isAnswered;
  }

  /** The request is being sent over this connection. */
  begin(connection: Connection): void {
    this.#connection = connection.isKept ? "kept" : "new";
    connection.isKept = true;
    connection.meter.allow(this.#maxWireBytes);
  }

  /** The first byte of an answer has come. */
  answered(): void {
    this.#isAnswered = true;
  }
}

/** One connection at a time, which tells the {@link Exchange} that a request names as its `opaque` that it is the one. */
export class ExchangeClient extends Client {
  readonly #connection: () => Connection | undefined;

  constructor(origin: string, options: Client.Options, open: () => Promise<Connection>) {
    let connection: Connection | undefined;
    const connect: Client.Options["connect"] = (_options, callback) => {
      open().then(
        (opened) => {
          connection = opened;
          callback(null, opened.socket);
        },
        (error) => callback(error, null),
      );
    };
    super(origin, { ...options, connect });
    this.#connection = () => connection;
  }

  override dispatch(options: Parameters<Client["dispatch"]>[0], handler: Parameters<Client["dispatch"]>[1]): boolean {
    const { opaque: exchange } = options as { opaque?: Exchange };
    return super.dispatch(options, {
      onRequestStart: (controller, context) => {
        handler.onRequestStart?.(controller, context);
        const connection = this.#connection();
        if (connection && !controller.aborted) exchange?.begin(connection);
      },
      onResponseStarted: () => exchange?.answered(),
      onResponseStart: (...event) => handler.onResponseStart?.(...event),
      onResponseData: (controller, chunk) => handler.onResponseData?.(controller, chunk),
      onResponseEnd: (controller, trailers) => handler.onResponseEnd?.(controller, trailers),
      onResponseError: (controller, error) => handler.onResponseError?.(controller, error),
    });
  }
}
