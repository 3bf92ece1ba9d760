import { formatMxc, type Mxc } from "../../../shared/matrix/mxc.ts";

/** How a wait ended: with news; by its own time; because there was no room; because the one who waited has left. */
export type Outcome<V> =
  | { readonly kind: "settled"; readonly value: V }
  | { readonly kind: "late" }
  | { readonly kind: "crowded" }
  | { readonly kind: "left" };

/** One who waits for news of one media. */
export interface Waiter<V> {
  /** Tells the news. */
  settle(value: V): void;
  /** Waits for the news: `waitMs` milliseconds at most, until `signal` aborts, and while there is room. */
  outcome(waitMs: number, signal: AbortSignal): Promise<Outcome<V>>;
  /** To be called at the end, whatever came. */
  leave(): void;
}

/** What {@link WaitingRoom} needs. */
export interface WaitingRoomOptions<V> {
  /** How many may wait at once. */
  readonly maxWaiting: number;
  /** After how many milliseconds `check` is called for a media that somebody waits for. */
  readonly recheckMs: number;
  /** Is told how many wait, whenever that changes. */
  readonly onCount: (waiting: number) => void;
  /** Finds out how it stands with a media and tells those given. Never rejects. */
  readonly check: (mxc: Mxc, waiters: readonly Waiter<V>[]) => Promise<void>;
}

interface Group<V> {
  readonly mxc: Mxc;
  readonly waiters: Set<Place<V>>;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Where requests wait for news of media, in this process. Bounded: when one too many waits, the one that has waited longest is
 * let go, so that nobody can take all the room for long.
 */
export class WaitingRoom<V> {
  readonly #options: WaitingRoomOptions<V>;
  readonly #groups = new Map<string, Group<V>>();
  /** Those who really wait, the longest first. */
  readonly #line = new Set<Place<V>>();
  #closed = false;

  constructor(options: WaitingRoomOptions<V>) {
    this.#options = options;
  }

  /** Hears the news of a media from now on. */
  enter(mxc: Mxc): Waiter<V> {
    const uri = formatMxc(mxc);
    const group = this.#groups.get(uri) ?? { mxc, waiters: new Set(), timer: undefined };
    this.#groups.set(uri, group);
    const place = new Place<V>({
      sit: () => this.#sit(group, place),
      leave: () => this.#leave(uri, group, place),
    });
    group.waiters.add(place);
    return place;
  }

  /** There is news of this media: checks for all who wait for it. */
  async wake(uri: string): Promise<void> {
    const group = this.#groups.get(uri);
    if (group) await this.#options.check(group.mxc, [...group.waiters]);
  }

  /** There may be news of any media: checks for all, one media after the other. */
  async wakeAll(): Promise<void> {
    for (const uri of [...this.#groups.keys()]) await this.wake(uri);
  }

  /** Lets everybody go, now and from now on. */
  close(): void {
    this.#closed = true;
    for (const place of this.#line) place.end({ kind: "crowded" });
  }

  #sit(group: Group<V>, place: Place<V>): void {
    const { maxWaiting } = this.#options;
    this.#line.add(place);
    if (this.#closed) place.end({ kind: "crowded" });
    for (const longest of this.#line) {
      if (this.#line.size <= maxWaiting) break;
      this.#line.delete(longest);
      longest.end({ kind: "crowded" });
    }
    group.timer ??= this.#recheckLater(group);
    this.#options.onCount(this.#line.size);
  }

  #leave(uri: string, group: Group<V>, place: Place<V>): void {
    if (this.#line.delete(place)) this.#options.onCount(this.#line.size);
    group.waiters.delete(place);
    if (group.waiters.size > 0 || this.#groups.get(uri) !== group) return;
    clearTimeout(group.timer);
    this.#groups.delete(uri);
  }

  #recheckLater(group: Group<V>): NodeJS.Timeout {
    const timer = setTimeout(async () => {
      await this.#options.check(group.mxc, [...group.waiters]);
      group.timer = group.waiters.size > 0 ? this.#recheckLater(group) : undefined;
    }, this.#options.recheckMs);
    return timer.unref();
  }
}

/** A place in the room, taken by one request. */
class Place<V> implements Waiter<V> {
  readonly #ended = Promise.withResolvers<Outcome<V>>();
  readonly #room: { readonly sit: () => void; readonly leave: () => void };

  constructor(room: { readonly sit: () => void; readonly leave: () => void }) {
    this.#room = room;
  }

  settle(value: V): void {
    this.end({ kind: "settled", value });
  }

  end(outcome: Outcome<V>): void {
    this.#ended.resolve(outcome);
  }

  leave(): void {
    this.#room.leave();
  }

  async outcome(waitMs: number, signal: AbortSignal): Promise<Outcome<V>> {
    if (signal.aborted) return { kind: "left" };
    const goAway = () => this.end({ kind: "left" });
    signal.addEventListener("abort", goAway, { once: true });
    const timer = setTimeout(() => this.end({ kind: "late" }), waitMs);
    try {
      this.#room.sit();
      return await this.#ended.promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", goAway);
    }
  }
}
