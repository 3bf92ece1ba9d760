import type { Config } from "../../config/schema.ts";

/** How to reach an origin on this machine, which may listen on all addresses. */
export function originUrl({ bindAddress, port }: Pick<Config["repo"], "bindAddress" | "port">): string {
  const any: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "127.0.0.1", "": "127.0.0.1" };
  const host = any[bindAddress] ?? bindAddress;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** How to reach a local edge. */
export function edgeUrl(port: number): string {
  return `http://127.0.0.1:${port}`;
}
