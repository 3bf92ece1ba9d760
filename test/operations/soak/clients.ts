import { type Ending, exchange, type Leave } from "./exchange.ts";
import type { Random } from "./random.ts";
import { type Asked, KINDS, type Known, pictureUpload, type Uploaded } from "./requests.ts";

/** The load: lanes of clients of which most hang up somewhere on the way, and now and then a crowd that leaves all at once. */

/** What the clients saw. */
export interface Seen {
  readonly violations: string[];
  /** Requests by how they ended. */
  readonly endings: Map<string, number>;
  readonly acknowledged: Uploaded[];
}

/** How the load behaves. */
export interface LoadOptions {
  readonly tiers: readonly string[];
  readonly token: string;
  readonly photo: Buffer;
  readonly random: Random;
  readonly lanes: number;
  readonly crowd: number;
  readonly crowdEveryMs: number;
  /** What the service stands on is away, or it is ended on purpose: broken connections and some 5xx are nobody's fault. */
  readonly forgiving: () => boolean;
}

/** What says that somebody is away; 500 says that it is our own fault, whoever is away. */
const EXCUSED = new Set([502, 503, 504, 507]);
const KEPT = 400;
const CROWD_STAYS_MS = 150;

/** Clients that can be set loose again and again, and remember. */
export class Clients {
  readonly seen: Seen = { violations: [], endings: new Map(), acknowledged: [] };
  readonly #options: LoadOptions;
  readonly #known: Known & { readonly media: Uploaded[]; readonly pictures: Uploaded[] };

  constructor(options: LoadOptions) {
    this.#options = options;
    const { token, photo } = options;
    this.#known = { token, photo, server: "example.org", media: [], pictures: [], reserved: [] };
  }

  /** Runs the load until it is over. */
  async run(over: AbortSignal): Promise<void> {
    const lanes = Array.from({ length: this.#options.lanes }, () => this.#lane(over));
    await Promise.all([...lanes, this.#crowds(over)]);
  }

  /** One request of every kind to each tier by clients that stay: what is wrong with the answers. */
  async askEverything(): Promise<void> {
    for (const base of this.#options.tiers) {
      await this.#perform(base, pictureUpload(this.#known, this.#options.random));
      for (const name of ["create", ...Object.keys(KINDS)]) {
        const asked = KINDS[name]?.(this.#known, this.#options.random);
        if (asked) await this.#perform(base, asked);
        else this.seen.violations.push(`${name}: there was nothing to ask for`);
      }
    }
  }

  /** Every acknowledged upload, byte by byte, from `base`. */
  async verifyStored(base: string): Promise<void> {
    const { token } = this.#known;
    const queue = [...this.seen.acknowledged];
    const work = async () => {
      for (let one = queue.pop(); one; one = queue.pop()) {
        const wire = {
          method: "GET",
          path: `/_matrix/client/v1/media/download/${one.id}`,
          headers: { authorization: `Bearer ${token}` },
        };
        const ending = await exchange(base, wire);
        if (ending.kind !== "answered" || ending.status !== 200 || !ending.body.equals(one.body)) {
          this.seen.violations.push(`an acknowledged upload is lost: ${one.id}: ${describe(ending)}`);
        }
      }
    };
    await Promise.all(Array.from({ length: 8 }, work));
  }

  async #lane(over: AbortSignal): Promise<void> {
    const { random, tiers } = this.#options;
    while (!over.aborted) {
      const asked = this.#next();
      if (asked) await this.#perform(random.pick(tiers), asked, this.#leave(asked));
    }
  }

  async #crowds(over: AbortSignal): Promise<void> {
    const { random, tiers, crowd, crowdEveryMs } = this.#options;
    while (!over.aborted) {
      await pause(crowdEveryMs, over);
      if (over.aborted) return;
      const all = new AbortController();
      const going = Array.from({ length: crowd }, async () => {
        const asked = this.#next();
        if (asked) await this.#perform(random.pick(tiers), asked, undefined, all.signal);
      });
      setTimeout(() => all.abort(), random.below(CROWD_STAYS_MS));
      await Promise.all(going);
    }
  }

  #next(): Asked | undefined {
    const { random } = this.#options;
    if (random.next() < 0.03) return pictureUpload(this.#known, random);
    return KINDS[random.pick(Object.keys(KINDS))]?.(this.#known, random);
  }

  #leave({ wire }: Asked): Leave | undefined {
    const { random } = this.#options;
    if (random.next() < 0.4) return undefined;
    const by = random.next() < 0.5 ? "rst" : "fin";
    const ms = random.next() < 0.5 ? 0 : random.below(60);
    const size = 200 + (wire.body?.byteLength ?? 0);
    if (random.next() < 0.3) return { after: "heard", bytes: 1 + random.below(3_000), ms, by };
    return { after: "sent", bytes: random.below(size + 1), ms, by };
  }

  async #perform(base: string, asked: Asked, leave?: Leave, crowd?: AbortSignal): Promise<void> {
    const wasForgiving = this.#options.forgiving();
    const ending = await exchange(base, asked.wire, leave, crowd);
    const name = ending.kind === "answered" ? `${ending.status}` : ending.kind;
    this.seen.endings.set(name, (this.seen.endings.get(name) ?? 0) + 1);
    if (ending.kind === "left") return;
    const fault = faultOf(asked, ending);
    if (fault === undefined) return this.#remember(asked, ending);
    const excused = wasForgiving || this.#options.forgiving();
    if (excused && (ending.kind === "broken" || EXCUSED.has(ending.status))) return;
    this.seen.violations.push(`${asked.kind} at ${base}: ${fault}`);
  }

  #remember({ kind, stores }: Asked, ending: Ending): void {
    if (ending.kind !== "answered") return;
    const { media, pictures, reserved } = this.#known;
    const id = stores?.id ?? /mxc:\/\/([^"]+)/.exec(ending.body.toString("latin1"))?.[1];
    if (kind === "create" && id) reserved.push(id);
    if (!stores || !id) return;
    const uploaded = { id, body: stores.body };
    this.seen.acknowledged.push(uploaded);
    const list = kind === "a picture" ? pictures : media;
    if (list.length < KEPT) list.push(uploaded);
  }
}

function faultOf({ right, body, kind }: Asked, ending: Ending): string | undefined {
  if (ending.kind !== "answered" || !right.includes(ending.status)) return describe(ending);
  if (body && !body.equals(ending.body))
    return `the wrong ${ending.body.byteLength} bytes instead of ${body.byteLength}`;
  if (kind === "thumbnail" && ending.body.byteLength === 0) return "an empty thumbnail";
  return undefined;
}

function describe(ending: Ending): string {
  if (ending.kind === "left") return "left";
  if (ending.kind === "broken") return ending.why;
  return `${ending.status} ${ending.body.subarray(0, 150).toString("latin1")}`;
}

/** Waits, or until it is over. */
export function pause(ms: number, over: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      over.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    over.addEventListener("abort", done);
    if (over.aborted) done();
  });
}
