import { AsyncLocalStorage } from "node:async_hooks";
import type { FastifyRequest } from "fastify";

/** Knows which request the running code works for, so that an error which nobody has foreseen is logged with its request. */
export class CurrentRequest {
  readonly #storage = new AsyncLocalStorage<FastifyRequest>();

  /** Runs what works for this request, with all that it sets going. */
  run(request: FastifyRequest, work: () => void): void {
    this.#storage.run(request, work);
  }

  /** What the log may say of the request; nothing where the code works for none. */
  facts(): { readonly id?: string; readonly method?: string; readonly route?: string } {
    const request = this.#storage.getStore();
    if (!request) return {};
    const { id } = request.context ?? {};
    return {
      ...(id === undefined ? {} : { id }),
      method: request.method,
      route: request.routeOptions.url ?? "unknown",
    };
  }
}
