import { randomBytes } from "node:crypto";
import { request } from "node:http";

/** What is announced and never comes whole. `path`: with its query. `length`: in bytes. */
export interface BrokenUpload {
  readonly method: "POST" | "PUT";
  readonly path: string;
  readonly token?: string;
  readonly length: number;
}

/** After half of a body the connection ends after so many milliseconds, so that the receiver is waiting for the other half. */
const PAUSE_MS = 50;

/** Announces a body, sends half of it, and hangs up. Resolves when the connection is closed, whatever was answered. */
export function breakOff(base: string, { method, path, token, length }: BrokenUpload): Promise<void> {
  const { hostname, port } = new URL(base);
  const headers = {
    "content-length": String(length),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  return new Promise((resolve) => {
    const broken = request({ hostname, port, method, path, headers, agent: false });
    broken.on("error", () => undefined);
    broken.on("close", () => resolve());
    broken.write(randomBytes(length / 2), () => setTimeout(() => broken.destroy(), PAUSE_MS));
  });
}
