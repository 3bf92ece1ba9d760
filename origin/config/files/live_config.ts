import type { Config } from "../schema.ts";

/** The configuration as it is now: read `now` when it is needed, and keep nothing of it across requests. */
export class LiveConfig {
  #now: Config;

  constructor(config: Config) {
    this.#now = config;
  }

  get now(): Config {
    return this.#now;
  }

  change(config: Config): void {
    this.#now = config;
  }
}
