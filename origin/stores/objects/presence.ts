import { randomBytes } from "node:crypto";
import type { SteadyClock } from "../../platform/clock.ts";
import type { Log } from "../../platform/log.ts";
import { raceAbort } from "../../platform/time.ts";
import type { Queryable } from "../db/database.ts";
import { findIdentity, replaceIdentity, someObjects } from "../db/tables/datastore_identities.ts";
import type { Datastore } from "./datastore.ts";
import { identityName } from "./datastore_identity.ts";

/**
 * Whether a datastore is where it was. A disk that is not mounted looks like an empty folder: what is stored there would be lost
 * from sight when it is mounted again, and what lies on the disk would look as if it were lost now.
 *
 * A place is known again by one small object whose name the database remembers. Where none is remembered, or it is not there, a
 * place is taken for the datastore's only if it has most of some objects that must lie there, or if none must and no other place
 * was known before.
 */

/** What {@link Presence} needs. Times in milliseconds, by a clock that nobody sets. */
export interface PresenceParts {
  /** The datastore itself, as yet unguarded. */
  readonly store: Datastore;
  /** For the log: a folder, or a bucket. */
  readonly place: string;
  readonly db: Queryable;
  readonly steady: SteadyClock;
  readonly log: Log;
  readonly metrics: { datastorePresent(id: string, isPresent: 0 | 1): void };
}

/** A datastore that is not there, or is at another place than it was. */
export class AbsentDatastore extends Error {
  constructor(id: string) {
    super(`the datastore "${id}" is not there`);
  }
}

type State = "unknown" | "present" | "absent";

/** For how long one that was there is taken to be there still. A look at a folder costs next to nothing. */
const TRUSTED_MS = { file: 0, s3: 5_000 } as const;
/** For how long one that was absent is taken for absent still: it comes back within seconds, and crowds do not wear it out. */
const ABSENT_MS = 1_000;
/** How long one look may take. */
const LOOK_MS = 10_000;
/** How many objects are looked for, where there is nothing else to know a place by. */
const SAMPLE = 16;

/** Looks whether a datastore is there: seldom while it is, and each time that something depends on it. */
export class Presence {
  readonly #parts: PresenceParts;
  #state: State = "unknown";
  #identity: string | undefined;
  #seenAt = Number.NEGATIVE_INFINITY;
  #look: { readonly since: number; readonly isThere: Promise<boolean> } | undefined;
  #adopting: Promise<boolean> | undefined;
  #couldNotSign = false;

  constructor(parts: PresenceParts) {
    this.#parts = parts;
  }

  /** What the last look has found. */
  get state(): State {
    return this.#state;
  }

  /**
   * Resolves when the datastore is there, or was a moment ago where each look is a request. Throws {@link AbsentDatastore}, or
   * what keeps us from telling.
   */
  async demand(): Promise<void> {
    await this.#demand(TRUSTED_MS[this.#parts.store.kind]);
  }

  /** The same, but nothing that was seen before counts. */
  async demandNow(): Promise<void> {
    await this.#demand(0);
  }

  async #demand(maxAgeMs: number): Promise<void> {
    if (!(await this.#isThere(maxAgeMs))) throw new AbsentDatastore(this.#parts.store.id);
  }

  async #isThere(maxAgeMs: number): Promise<boolean> {
    const now = this.#parts.steady();
    const age = now - this.#seenAt;
    if (this.#state === "present" && age < maxAgeMs) return true;
    if (this.#state === "absent" && age < ABSENT_MS) return false;
    // One that began before could have seen it before it went.
    if (!this.#look || this.#look.since < now - maxAgeMs) this.#look = { since: now, isThere: this.#lookNow(now) };
    return await this.#look.isThere;
  }

  async #lookNow(since: number): Promise<boolean> {
    try {
      const isThere = await raceAbort(this.#find(), AbortSignal.timeout(LOOK_MS));
      this.#note(isThere ? "present" : "absent", since);
      return isThere;
    } finally {
      if (this.#look?.since === since) this.#look = undefined;
    }
  }

  async #find(): Promise<boolean> {
    const { store, db } = this.#parts;
    const signal = AbortSignal.timeout(LOOK_MS);
    if (this.#identity !== undefined && (await store.isSigned(this.#identity, signal))) return true;
    // Another process may have taken another place for it.
    const recorded = await findIdentity(db, store.id);
    this.#identity = recorded;
    if (recorded !== undefined && (await store.isSigned(recorded, signal))) return true;
    this.#adopting ??= this.#adopt(recorded, signal).finally(() => {
      this.#adopting = undefined;
    });
    return await this.#adopting;
  }

  /** Takes the place for the datastore's, if it may be. */
  async #adopt(old: string | undefined, signal: AbortSignal): Promise<boolean> {
    const { store, db, log } = this.#parts;
    const sample = await someObjects(db, store.id, SAMPLE);
    const found = await Promise.all(sample.map((object) => store.has(object, signal)));
    const isOurs = sample.length === 0 ? old === undefined : found.filter(Boolean).length * 2 > sample.length;
    if (!isOurs) return false;
    const identity = randomBytes(16).toString("hex");
    try {
      await store.sign(identity, signal);
    } catch (error) {
      // To be read, it need not be written to.
      if (!this.#couldNotSign) log.warn({ datastore: store.id, error }, "cannot leave its identity in a datastore");
      this.#couldNotSign = true;
      return true;
    }
    this.#identity = await replaceIdentity(db, store.id, { old, identity });
    return this.#identity === identity || (await store.isSigned(this.#identity, signal));
  }

  #note(state: State, seenAt: number): void {
    const { store, place, log, metrics } = this.#parts;
    if (seenAt < this.#seenAt) return;
    const before = this.#state;
    this.#state = state;
    this.#seenAt = seenAt;
    if (state === before) return;
    metrics.datastorePresent(store.id, state === "present" ? 1 : 0);
    const about = { datastore: store.id, place };
    if (state === "present" && before === "absent") log.info(about, "the datastore is there again");
    if (state === "absent") {
      const file = this.#identity === undefined ? undefined : identityName(this.#identity);
      log.error({ ...about, file }, `the datastore is not there: ${CURE}`);
    }
  }
}

const CURE =
  "until its disk is mounted (or its bucket is the one it was) uploads are refused, and what lies there is answered with 503; " +
  "if its media is gone for good, put an empty file of this name there";
