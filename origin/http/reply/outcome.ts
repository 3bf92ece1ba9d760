import type { MatrixError } from "../../../shared/matrix/matrix_error.ts";

/** How much of one request was read and sent, and how it ended. Read once, for the log and the metrics. */
export class Outcome {
  #receivedBytes = 0;
  #sentBytes = 0;
  #cut: MatrixError | undefined;
  #refused: number | undefined;

  /** Bytes of the request's body that were read. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Bytes of the answer's body that were handed to the connection. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  received(bytes: number): void {
    this.#receivedBytes += bytes;
  }

  sent(bytes: number): void {
    this.#sentBytes += bytes;
  }

  /** The body of the answer failed midway, and its connection is ended. */
  cutOff(error: MatrixError): void {
    this.#cut ??= error;
  }

  /** The body of the request could not be parsed, and this status was written to the connection in place of an answer. */
  refuse(status: number): void {
    this.#refused ??= status;
  }

  /**
   * What log and metrics say of a request when its answer has ended. `isWhole`: all of the answer was sent; `status`: as it began.
   *
   * - `answered`: with this status.
   * - `cut off`: with the status that the answer would have had, had the failure been known in time.
   * - `client left`: 499, as in nginx, whatever status the answer began with.
   */
  told(
    isWhole: boolean,
    status: number,
  ): { readonly how: "answered" | "cut off" | "client left"; readonly status: number } {
    if (this.#cut) return { how: "cut off", status: this.#cut.status };
    if (this.#refused !== undefined) return { how: "answered", status: this.#refused };
    if (isWhole) return { how: "answered", status };
    return { how: "client left", status: CLIENT_LEFT };
  }
}

/** No client ever sees this status. */
const CLIENT_LEFT = 499;
